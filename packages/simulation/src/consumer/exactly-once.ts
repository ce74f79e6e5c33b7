// A sink to which the handlers of a world write exactly once, as docs/control.md tells an application to: per lease it keeps the greatest
// fencing token that it was shown and how far it was written; a tenure shows its token when it opens the shard, and each of its writes
// is refused once a greater one was shown. It is the checker of the tokens as well: by the order in which tenures claimed their lease.
import type { OpenShard } from '../../../consumer/dist/coordination/effects.js';
import type { Lease } from '../../../consumer/dist/coordination/lease.js';
import type { TenureRef } from './one-handler.ts';
import type { Position } from './shard-history.ts';

interface Row {
  token: number;
  /** Records that are in it, from the first on; undefined: none yet, and the first one need not be the shard's. */
  writtenCount: number | undefined;
}

interface Tenure {
  readonly token: number;
  /** What the row said when it opened the shard, and its own writes since: it is not asked again. */
  writtenCount: number | undefined;
}

export class ExactlyOnceSink {
  readonly #indexOf: (leaseKey: string, position: Position) => number;
  readonly #rows = new Map<string, Row>();
  readonly #tenures = new Map<TenureRef, Tenure>();
  /** In the order of their claims, those of each row of the lease table; a row that is made anew begins anew. */
  readonly #claims = new Map<string, TenureRef[]>();
  /** Streams were deleted: a sink that outlives them would need rows of its own for each. */
  #isOver = false;

  /** @param indexOf a record's place among all that were ever put into its shard. */
  constructor(indexOf: (leaseKey: string, position: Position) => number) {
    this.#indexOf = indexOf;
  }

  /** A stream is deleted, or another sort of worker writes past the sink. */
  end(): void {
    this.#isOver = true;
  }

  /** A row of the lease table has changed; `ref` is the tenure that wrote it, if a holder did. */
  rowChanged(before: Lease | undefined, after: Lease | undefined, ref: TenureRef | undefined): void {
    const leaseKey = (after ?? before)?.leaseKey ?? '';
    const claims = before === undefined ? [] : (this.#claims.get(leaseKey) ?? []);
    this.#claims.set(leaseKey, claims);
    if (ref !== undefined && !claims.includes(ref)) claims.push(ref);
  }

  /** A handler is told its token, and shows it. @returns what is wrong. */
  opened({ leaseKey, fencingToken: token }: OpenShard, ref: TenureRef): string | undefined {
    const before = this.#tenures.get(ref);
    if (before !== undefined && before.token !== token)
      return `${leaseKey}: a tenure was opened with token ${before.token}, then with ${token}`;
    const claims = this.#claims.get(leaseKey) ?? [];
    const place = claims.indexOf(ref);
    for (const [index, other] of claims.entries()) {
      const known = index === place ? undefined : this.#tenures.get(other)?.token;
      if (known === undefined || index < place === known < token) continue;
      return `${leaseKey}: a tenure has token ${token}, and ${index < place ? 'an earlier' : 'a later'} one has ${known}`;
    }
    const row = this.#rows.get(leaseKey) ?? { token, writtenCount: undefined };
    this.#rows.set(leaseKey, row);
    row.token = Math.max(row.token, token);
    this.#tenures.set(ref, { token, writtenCount: row.writtenCount });
    return undefined;
  }

  /** One transaction: what is new of these records, and how far it is. @returns what is wrong. */
  write(leaseKey: string, ref: TenureRef, batch: readonly Position[]): string | undefined {
    const [row, tenure] = [this.#rows.get(leaseKey), this.#tenures.get(ref)];
    if (this.#isOver || row === undefined || tenure === undefined || row.token !== tenure.token) return undefined;
    const [first, last] = [batch[0], batch.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    const from = Math.max(this.#indexOf(leaseKey, first), tenure.writtenCount ?? 0);
    const to = this.#indexOf(leaseKey, last) + 1;
    if (from >= to) return undefined;
    const { writtenCount } = row;
    if (writtenCount !== undefined && from !== writtenCount) {
      const what = from < writtenCount ? 'twice' : 'after a gap';
      return `record ${from} of ${leaseKey} is in the sink ${what}: it was at ${writtenCount}`;
    }
    row.writtenCount = to;
    tenure.writtenCount = to;
    return undefined;
  }

  /** @param recordCounts of the shards to be judged. @returns what is wrong with a world in which all is handled. */
  judge(recordCounts: ReadonlyMap<string, number>): string | undefined {
    if (this.#isOver) return undefined;
    for (const [leaseKey, { writtenCount }] of this.#rows) {
      const count = recordCounts.get(leaseKey);
      if (count !== undefined && writtenCount !== undefined && writtenCount !== count)
        return `all is handled, and of ${leaseKey} ${writtenCount} of ${count} records are in the sink`;
    }
    return undefined;
  }
}
