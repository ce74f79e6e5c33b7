// An operator's words on their way through the core that are answered: each is asked there as an event, for one lease, and its promise settles
// with the core's answer. Invariant: every promise settles once, at the latest when the runtime ends.

export class PendingWords<Answer> {
  readonly #pending = new Map<number, (answer: Answer) => void>();
  readonly #atTheEnd: { readonly asked: Answer; readonly unasked: Answer };
  #count = 0;
  #isOver = false;

  /** @param atTheEnd the answers to what is asked when the runtime ends, and after it has. */
  constructor(atTheEnd: { readonly asked: Answer; readonly unasked: Answer }) {
    this.#atTheEnd = atTheEnd;
  }

  /** @param post says the word, under that number. @returns resolves with the core's answer. */
  ask(post: (requestId: number) => void): Promise<Answer> {
    if (this.#isOver) return Promise.resolve(this.#atTheEnd.unasked);
    this.#count += 1;
    const requestId = this.#count;
    return new Promise((resolve) => {
      this.#pending.set(requestId, resolve);
      post(requestId);
    });
  }

  settle(requestId: number, answer: Answer): void {
    this.#pending.get(requestId)?.(answer);
    this.#pending.delete(requestId);
  }

  /** The runtime has ended: nothing is answered any more. */
  close(): void {
    this.#isOver = true;
    for (const requestId of this.#pending.keys()) this.settle(requestId, this.#atTheEnd.asked);
  }
}
