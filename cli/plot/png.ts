// SVG -> PNG by resvg, where it is installed: an optional package with prebuilt binaries, loaded only here and only when a
// picture is wanted. Without it there is the SVG.

interface Renderer { readonly Resvg: new (svg: string, options: object) => { render(): { asPng(): Uint8Array } } }

const PACKAGE: string = '@resvg/resvg-js'

/** Undefined where the renderer is absent. `zoom`: pixels of the picture per unit of the SVG. */
export async function pngOf(svg: string, zoom: number, load: () => Promise<unknown> = () => import(PACKAGE)): Promise<Uint8Array | undefined> {
  const renderer = await load().then((found) => found as Renderer, () => undefined)
  if (renderer === undefined) return undefined
  return new renderer.Resvg(svg, { fitTo: { mode: 'zoom', value: zoom }, font: { loadSystemFonts: true, defaultFontFamily: 'DejaVu Sans', sansSerifFamily: 'DejaVu Sans' } }).render().asPng()
}
