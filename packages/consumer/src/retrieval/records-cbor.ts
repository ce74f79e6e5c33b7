// The records of a GetRecords answer, out of its CBOR: data are views of the body, nothing is decoded twice. Pure. Members that are not
// known are passed over, as the SDK's parsers do.
// Invariant: what this reads, it reads as records-json.ts would read the same answer.
import { CborError, CborReader } from '@shardline/common';
import type { KinesisRecord } from './deaggregate.ts';

export interface CborAnswer {
  readonly records: readonly KinesisRecord[];
  /** The other members, null ones left out, as the SDK gives them. */
  readonly rest: Readonly<Record<string, unknown>>;
}

const RECORDS = Buffer.from('Records');
const DATA = Buffer.from('Data');
const SEQUENCE_NUMBER = Buffer.from('SequenceNumber');
const PARTITION_KEY = Buffer.from('PartitionKey');
const ARRIVED_AT = Buffer.from('ApproximateArrivalTimestamp');

/** @throws CborError saying where the body is no such answer. */
export function readCborAnswer(body: Buffer): CborAnswer {
  const reader = new CborReader(body);
  const records: KinesisRecord[] = [];
  const rest: [string, unknown][] = [];
  for (let left = reader.openMap(); reader.hasMore(left); left -= 1) {
    if (reader.takeName(RECORDS)) readRecords(reader, records);
    else {
      const name = reader.text();
      const value = reader.value();
      if (value !== null) rest.push([name, value]);
    }
  }
  reader.end();
  return { records, rest: Object.fromEntries(rest) };
}

function readRecords(reader: CborReader, records: KinesisRecord[]): void {
  if (reader.takeNull()) return;
  for (let left = reader.openList(); reader.hasMore(left); left -= 1) records.push(readRecord(reader));
}

function readRecord(reader: CborReader): KinesisRecord {
  let data: Uint8Array | undefined;
  let partitionKey = '';
  let sequenceNumber: string | undefined;
  let arrivedAtMs = 0;
  for (let left = reader.openMap(); reader.hasMore(left); left -= 1) {
    if (reader.takeName(SEQUENCE_NUMBER)) sequenceNumber = reader.digits();
    // Milliseconds, with tag 1 or none: the SDK for Java looks at no tag.
    else if (reader.takeName(ARRIVED_AT)) arrivedAtMs = reader.takeNull() ? 0 : Math.round(reader.number());
    else if (reader.takeName(DATA)) data = reader.bytes();
    else if (reader.takeName(PARTITION_KEY)) partitionKey = reader.takeNull() ? '' : reader.text();
    else {
      reader.skip();
      reader.skip();
    }
  }
  if (data === undefined) throw new CborError('CBOR: expected a record with Data, got one without');
  if (sequenceNumber === undefined) throw new CborError('CBOR: expected a record with SequenceNumber, got one without');
  const approximateArrivalTimestamp = new Date(arrivedAtMs);
  return { partitionKey, data, sequenceNumber, subSequenceNumber: 0, approximateArrivalTimestamp, aggregated: false };
}
