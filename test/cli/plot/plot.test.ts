// Figures as files: what stands in an SVG (structure, not looks), fields of CSV, PNG with and without a renderer.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { csvText } from '../../../cli/plot/csv.ts'
import { pngOf } from '../../../cli/plot/png.ts'
import { escaped, linesOf, markRows, niceMax, plotSvg, ticksOf } from '../../../cli/plot/svg.ts'
import type { Plot } from '../../../cli/plot/svg.ts'

const PLOT: Plot = {
  title: 'Load & <loads>', subtitle: 'two "hosts"', xLabel: 'Time (s)', seconds: [0, 10, 20, 30], endSeconds: 30,
  panels: [
    { title: 'CPU', unit: '%', kind: 'lines', level: { value: 80, label: 'threshold' }, curves: [{ label: 'a', values: [10, undefined, 30, 40] }, { label: 'b', dashed: true, values: [1, 2, 3, 4] }] },
    { title: 'States', unit: 'state', kind: 'steps', max: 2, words: ['off', 'starting', 'on'], curves: [{ label: 'vm', values: [0, 1, 2, 2] }] },
    { title: 'Sum', unit: 'cores', kind: 'areas', curves: [{ label: 'a', values: [1, 1, 1, 1] }, { label: 'b', values: [1, 2, 2, 1] }] },
  ],
  marks: [{ atSeconds: 10, label: 'here', whose: 'ours' }, { atSeconds: 11, label: 'paper', whose: 'paper' }, { atSeconds: 99, label: 'beyond', whose: 'ours' }],
}
const count = (svg: string, what: RegExp): number => [...svg.matchAll(what)].length
const opensAndCloses = (svg: string): boolean => {
  const open: string[] = []
  for (const [, end, name = '', alone] of svg.replace(/<style>[\s\S]*?<\/style>/, '').matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (end === '/') { if (open.pop() !== name) return false } else if (alone !== '/') open.push(name)
  }
  return open.length === 0
}

t.test('what stands in the picture', async (t) => {
  const svg = plotSvg(PLOT, 'auto')
  t.ok(opensAndCloses(svg), 'is well formed')
  t.match(svg, 'Load &amp; &lt;loads&gt;')
  t.equal(count(svg, /<polyline class="line c0-line" /g), 3, 'a curve with a gap is drawn in two pieces; and the state')
  t.equal(count(svg, /class="line c1-line dashed"/g), 2, 'the paper\'s is dashed, in the legend too')
  t.equal(count(svg, /<polygon class="c[01]-fill"/g), 2)
  for (const word of ['off', 'starting', 'on', 'threshold', 'Time (s)', 'here', 'paper']) t.match(svg, `>${word}<`)
  t.notMatch(svg, 'beyond', 'marks after the end are left out')
  t.equal(count(svg, /<line class="ours"/g), 1)
  t.equal(count(svg, /<line class="paper"/g), 1)
  t.ok(svg.lastIndexOf('<line class="paper"') < svg.indexOf('<text class="mark'), 'no mark\'s line is drawn over another\'s words')
  t.match(/polygon class="c1-fill" points="([^"]+)"/.exec(svg)?.[1]?.split(' ').length, 8, 'an area goes there and back')
})

t.test('themes', async (t) => {
  const [auto, light, dark] = (['auto', 'light', 'dark'] as const).map((theme) => plotSvg(PLOT, theme))
  t.match(auto, '@media (prefers-color-scheme: dark)')
  t.notMatch(light, '@media', 'a fixed theme does not follow the screen')
  t.match(light, '.bg{fill:#ffffff}')
  t.match(dark, '.bg{fill:#14181c}')
  for (const svg of [auto, light, dark]) t.notMatch(svg, /var\(|<script|href/, 'nothing that a renderer would not know, or that runs')
})

t.test('whatever is measured, the picture is whole', async (t) => {
  const value = fc.option(fc.double({ noNaN: true, min: -5, max: 1e6 }), { nil: undefined })
  t.doesNotThrow(() => fc.assert(fc.property(fc.string(), fc.array(fc.tuple(fc.nat(600), value), { maxLength: 30 }), fc.constantFrom('lines', 'steps', 'areas'), fc.integer({ min: 1, max: 900 }), (title, points, kind, endSeconds) => {
    const svg = plotSvg({ ...PLOT, title, seconds: points.map(([second]) => second), endSeconds, panels: [{ title, unit: title, kind, curves: [{ label: title, values: points.map(([, one]) => one) }] }], marks: [{ atSeconds: 1, label: title, whose: 'ours' }] }, 'light')
    return opensAndCloses(svg) && !/NaN|Infinity|undefined/.test(svg.replaceAll(escaped(title), ''))
  })))
})

t.test('axes', async (t) => {
  t.same(linesOf('a long subtitle of words', 8), ['a long', 'subtitle', 'of words'])
  t.doesNotThrow(() => fc.assert(fc.property(fc.string(), fc.integer({ min: 1, max: 40 }), (text, letters) => linesOf(text, letters).join(' ') === text)))
  t.same([0, 0.3, 1, 37, 80, 81, 1_234].map(niceMax), [1, 0.4, 1, 40, 80, 100, 2_000])
  t.doesNotThrow(() => fc.assert(fc.property(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), (value) => niceMax(value) >= value * 0.999 && niceMax(value) <= value * 10)))
  t.doesNotThrow(() => fc.assert(fc.property(fc.integer({ min: 1, max: 20_000 }), (end) => { const ticks = ticksOf(end); return ticks[0] === 0 && ticks.length <= 14 && ticks.every((tick) => tick <= end) })))
  t.same(markRows([{ atSeconds: 0, label: 'a long label', whose: 'ours' }, { atSeconds: 1, label: 'touches', whose: 'ours' }, { atSeconds: 90, label: 'far', whose: 'ours' }], 100), [0, 1, 0])
})

t.test('CSV', async (t) => {
  t.equal(csvText(['seconds', 'a,b'], [[0.123456, 'x "y"'], [1, undefined]]), 'seconds,"a,b"\n0.1235,"x ""y"""\n1,\n')
})

t.test('PNG', async (t) => {
  t.equal(await pngOf('<svg/>', 1, async () => { throw new Error('Cannot find package') }), undefined, 'without the renderer there is none')
  const png = await pngOf(plotSvg(PLOT, 'light'), 1)
  if (png === undefined) {
    t.pass('absent: @resvg/resvg-js')
    return
  }
  t.same([...png.subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47])
  t.ok(png.length > 5_000, 'something is drawn')
})
