// A source that marks the records which the handler's filter lets pass. Around polling.ts or fan-out.ts and inside everything that
// wants to know: each record is looked at once, however often it waits, or is tried. It leaves nothing out: what does not pass is
// finished by the handling, so that the checkpoint goes over it.
import type { ExtendedSequenceNumber } from '@shardline/common';
import type { Amount } from '../coordination/room.ts';
import type { RecordFilter } from '../filtering/record-filter.ts';
import type { UserRecord } from '../handler.ts';
import type { ShardSource, SourceBatch, SourceRead } from './source.ts';
import { SourceAround } from './source-around.ts';

export class FilteredSource extends SourceAround {
  readonly #filter: RecordFilter;

  constructor(source: ShardSource, filter: RecordFilter) {
    super(source);
    this.#filter = filter;
  }

  override async fetch(after: ExtendedSequenceNumber, signal: AbortSignal, most?: Amount): Promise<SourceRead> {
    const read = await super.fetch(after, signal, most);
    return read.batch === undefined ? read : { ...read, batch: filtered(read.batch, this.#filter) };
  }
}

export function filtered(batch: SourceBatch, filter: RecordFilter): SourceBatch {
  const { records } = batch;
  const passing = [...records.keys()].filter((place) => filter(records[place] as UserRecord));
  return passing.length === records.length ? batch : { ...batch, passing };
}
