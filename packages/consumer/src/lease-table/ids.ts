// One copy of each id that stands in many rows: a worker's, a stream's. Each row is read with texts of its own, and a process with
// thousands of leases keeps them for hours. Bounded: past so many it begins anew, and what was given before stays as it was.
const MOST = 10_000;

export class Ids {
  readonly #known = new Map<string, string>();

  /** Equal to `id`, and always the same one. */
  readonly one = (id: string): string => {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    if (this.#known.size >= MOST) this.#known.clear();
    this.#known.set(id, id);
    return id;
  };
}
