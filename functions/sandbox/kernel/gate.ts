// Shared or exclusive use of a principal's cell. Chunks run shared; a chunk that is run again after a kill
// runs alone, so that if the cell dies once more it is known whose doing that was. First come, first served.

type Release = () => void

export class Gate {
  #shared = 0
  #exclusive = false
  readonly #waiting: { readonly exclusive: boolean; readonly enter: () => void }[] = []

  /** Takes a shared place at once when it is free: the path of every ordinary chunk. */
  tryShared(): boolean {
    if (this.#exclusive || this.#waiting.length > 0) return false
    this.#shared++
    return true
  }

  /**
   * For a run inside another one: past those who wait and past an exclusive user, who may be the one that waits for it. Who is to blame
   * for a death is then told by how many ran.
   */
  nested(): Release {
    this.#shared++
    return () => this.leaveShared()
  }

  leaveShared(): void {
    this.#shared--
    this.#admit()
  }

  async shared(): Promise<Release> {
    if (!this.tryShared()) await new Promise<void>((enter) => { this.#waiting.push({ exclusive: false, enter }) })
    return () => this.leaveShared()
  }

  async exclusive(): Promise<Release> {
    if (this.#exclusive || this.#shared > 0 || this.#waiting.length > 0) await new Promise<void>((enter) => { this.#waiting.push({ exclusive: true, enter }) })
    else this.#exclusive = true
    return () => {
      this.#exclusive = false
      this.#admit()
    }
  }

  #admit(): void {
    for (;;) {
      const next = this.#waiting[0]
      if (next === undefined || this.#exclusive || (next.exclusive && this.#shared > 0)) return
      this.#waiting.shift()
      if (next.exclusive) this.#exclusive = true
      else this.#shared++
      next.enter()
    }
  }
}
