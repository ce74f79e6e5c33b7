// The columns against a dumb twin that keeps whole records in one list and never forgets their counters.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecordLog, type StoredRecord } from './record-log.ts';
import { sequenceBase, sequenceNumberAt } from './sequence.ts';

type Step =
  | { kind: 'append'; count: number; afterMs: number; keyLength: number }
  | { kind: 'trim-old'; share: number }
  | { kind: 'trim-large'; share: number }
  | { kind: 'take-back'; count: number }
  | { kind: 'read'; share: number; maxCount: number; maxBytes: number };

const share = fc.double({ min: 0, max: 1, noNaN: true });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      count: fc.integer({ min: 1, max: 120 }),
      afterMs: fc.constantFrom(0, 0.25, 1, 700, 5_000),
      keyLength: fc.integer({ min: 0, max: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('trim-old' as const), share }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('trim-large' as const), share }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('take-back' as const), count: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      share,
      maxCount: fc.integer({ min: 1, max: 200 }),
      maxBytes: fc.integer({ min: 0, max: 2_000 }),
    }),
  },
);

const base = sequenceBase(1_700_000_000, 7);

class Twin {
  records: { counter: number; record: StoredRecord }[] = [];
  nextCounter = 1;
  nowMs = 1_700_000_000_000;

  append(afterMs: number, keyLength: number): StoredRecord {
    this.nowMs += afterMs;
    const counter = this.nextCounter++;
    const partitionKey = keyLength === 0 ? undefined : 'k'.repeat(keyLength);
    // In the midst of other memory, as the data of a request is.
    const data = new Uint8Array(Buffer.from(`...${counter}...`)).subarray(3, -3);
    const record = {
      sequenceNumber: sequenceNumberAt(base, counter, Math.floor(this.nowMs / 1000)),
      partitionKey,
      data,
      arrivalMs: this.nowMs,
      sizeBytes: data.length + keyLength,
    };
    this.records.push({ counter, record });
    return record;
  }

  get sizeBytes(): number {
    return this.records.reduce((sum, { record }) => sum + record.sizeBytes, 0);
  }

  get firstCounter(): number {
    return this.records[0]?.counter ?? this.nextCounter;
  }

  from(counter: number): StoredRecord[] {
    return this.records.filter((each) => each.counter >= counter).map(({ record }) => record);
  }

  read(counter: number, maxCount: number, maxBytes: number): StoredRecord[] {
    let sizeBytes = 0;
    return this.from(counter)
      .slice(0, maxCount)
      .filter((record, index) => {
        sizeBytes += record.sizeBytes;
        return index === 0 || sizeBytes <= maxBytes;
      });
  }
}

test('holds, reads, trims and takes back as a plain list does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const log = new RecordLog(base);
      const twin = new Twin();
      for (const one of steps) {
        perform(one, log, twin);
        expect([log.firstCounter, log.nextCounter, log.sizeBytes]).toEqual([
          twin.firstCounter,
          twin.nextCounter,
          twin.sizeBytes,
        ]);
      }
      expect(log.from(0)).toEqual(twin.from(0));
      expect(new RecordLog(base, log.firstCounter, log.from(0)).from(0)).toEqual(log.from(0));
    }),
  );
});

function perform(one: Step, log: RecordLog, twin: Twin): void {
  switch (one.kind) {
    case 'append':
      for (let i = 0; i < one.count; i++) {
        const { partitionKey, data, sizeBytes, arrivalMs } = twin.append(i === 0 ? one.afterMs : 0, one.keyLength);
        log.append(partitionKey, data, sizeBytes, arrivalMs);
      }
      break;
    case 'trim-old': {
      const horizonMs = twin.records[Math.floor(one.share * twin.records.length)]?.record.arrivalMs ?? 0;
      log.trim(horizonMs, Number.POSITIVE_INFINITY);
      twin.records = twin.records.filter(({ record }) => record.arrivalMs >= horizonMs);
      break;
    }
    case 'trim-large': {
      const maxBytes = Math.floor(one.share * twin.sizeBytes);
      log.trim(0, maxBytes);
      while (twin.sizeBytes > maxBytes) twin.records.shift();
      break;
    }
    case 'take-back': {
      const counter = Math.max(twin.firstCounter, twin.nextCounter - one.count);
      log.takeBack(counter);
      twin.records = twin.records.filter((each) => each.counter < counter);
      twin.nextCounter = counter;
      break;
    }
    case 'read': {
      const counter = Math.floor(one.share * twin.nextCounter);
      const read = log.read(counter, one.maxCount, one.maxBytes);
      expect(read.records).toEqual(twin.read(counter, one.maxCount, one.maxBytes));
      expect(read.sizeBytes).toBe(read.records.reduce((sum, record) => sum + record.sizeBytes, 0));
      const [first] = read.records;
      if (first === undefined) break;
      expect(log.at(Math.max(counter, log.firstCounter))).toEqual(first);
      const since = twin.records.find(({ record }) => record.arrivalMs >= first.arrivalMs);
      expect(log.firstAtOrAfter(first.arrivalMs)).toBe(since?.counter);
      break;
    }
  }
}
