// The records of a GetRecords answer, out of its CBOR: data are views of the body, nothing is decoded twice. The whole is looked through at once,
// and where each record has what is noted (record-rows.ts). Pure. Members that are not known are passed over, as the SDK's parsers do.
// Invariants: what this reads, it reads as records-json.ts would read the same answer; an answer is refused as a whole, before any record is given.
import { CborError, CborReader, NOT_PLAIN } from '@shardline/common';
import type { KinesisRecord } from './deaggregate.ts';
import { type RecordPlaces, RecordRows, somePlaces } from './record-rows.ts';
import { bringScavengeForward } from './sooner-scavenges.ts';

export interface CborAnswer {
  readonly records: RecordRows;
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
  const records = new RecordRows(body);
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
  bringScavengeForward(records.byteCount, records.length);
  return { records, rest: Object.fromEntries(rest) };
}

function readRecords(reader: CborReader, records: RecordRows): void {
  if (reader.takeNull()) return;
  const places = somePlaces();
  for (let left = reader.openList(); reader.hasMore(left); left -= 1) {
    const from = reader.at;
    if (note(reader, places)) records.add(places);
    else {
      reader.at = from;
      records.addMade(readRecord(reader));
    }
  }
}

/** @returns false: it is written in another way than usual, or is no record. */
function note(reader: CborReader, places: RecordPlaces): boolean {
  places.dataLength = NOT_PLAIN;
  places.numberLength = NOT_PLAIN;
  places.keyLength = 0;
  places.arrivedAtMs = 0;
  for (let left = reader.openMap(); reader.hasMore(left); left -= 1) {
    if (reader.takeName(SEQUENCE_NUMBER)) {
      places.numberLength = reader.passDigits();
      if (places.numberLength === NOT_PLAIN) return false;
      places.numberAt = reader.at - places.numberLength;
    } else if (reader.takeName(ARRIVED_AT)) places.arrivedAtMs = readTime(reader);
    else if (reader.takeName(DATA)) {
      places.dataLength = reader.passBytes();
      if (places.dataLength === NOT_PLAIN) return false;
      places.dataAt = reader.at - places.dataLength;
    } else if (reader.takeName(PARTITION_KEY)) {
      places.keyLength = reader.takeNull() ? 0 : reader.passAscii();
      if (places.keyLength === NOT_PLAIN) return false;
      places.keyAt = reader.at - places.keyLength;
    } else {
      reader.skip();
      reader.skip();
    }
  }
  return places.dataLength !== NOT_PLAIN && places.numberLength !== NOT_PLAIN;
}

function readRecord(reader: CborReader): KinesisRecord {
  let data: Uint8Array | undefined;
  let partitionKey = '';
  let sequenceNumber: string | undefined;
  let arrivedAtMs = 0;
  for (let left = reader.openMap(); reader.hasMore(left); left -= 1) {
    if (reader.takeName(SEQUENCE_NUMBER)) sequenceNumber = reader.digits();
    else if (reader.takeName(ARRIVED_AT)) arrivedAtMs = readTime(reader);
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

/** Milliseconds, with tag 1 or none: the SDK for Java looks at no tag. */
function readTime(reader: CborReader): number {
  return reader.takeNull() ? 0 : Math.round(reader.number());
}
