// The reader with vectors against the one that goes record by record: the same rows, or none; and none only where it may.
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { FoundRecords } from './record-rows.ts';
import { findOneByOne } from './records-json.ts';
import { VectorReader } from './records-wasm.ts';

const START = Buffer.from('{"Records":[');
const reader = VectorReader.make() as VectorReader;

interface Usual {
  readonly number?: string;
  readonly time?: string;
  readonly data?: Uint8Array;
  readonly key?: string;
}

function recordOf({ number = '7', time = '1700000000.123', data = Buffer.from('a'), key = 'k' }: Usual): string {
  const text = Buffer.from(data).toString('base64');
  return `{"SequenceNumber":"${number}","ApproximateArrivalTimestamp":${time},"Data":"${text}","PartitionKey":"${key}"}`;
}

function answerOf(...records: readonly Usual[]): string {
  return `{"Records":[${records.map(recordOf).join(',')}],"MillisBehindLatest":0}`;
}

function seen(found: FoundRecords | undefined): unknown {
  if (found === undefined) return undefined;
  const { records, end } = found;
  const { length, byteCount, arePlainAndRising } = records;
  return { end, length, byteCount, arePlainAndRising, all: Array.from({ length }, (_, index) => records.at(index)) };
}

/** @returns what it found, which is what is found one by one; undefined for nothing. */
function find(json: string, from = START.length): unknown {
  // Not at the beginning of its memory.
  const bytes = Buffer.from(`-${json}`).subarray(1);
  const found = seen(reader.find(bytes, from));
  expect(bytes.equals(Buffer.from(json))).toBe(true);
  if (found !== undefined) expect(found).toEqual(seen(findOneByOne(bytes, from)));
  return found;
}

const data = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc.uint8Array({ minLength: 500, maxLength: 600 }),
  // All that base64 has, in all places.
  fc.nat(255).map((first) => Uint8Array.from({ length: 300 }, (_, index) => first + index * 3)),
  // What aggregated records begin with.
  fc.uint8Array({ maxLength: 30 }).map((rest) => Uint8Array.of(0xf3, 0x89, 0x9a, 0xc2, ...rest)),
);
const usual = fc.record(
  {
    number: fc.oneof(
      fc.integer({ min: 1, max: 999 }).map(String),
      fc.bigInt({ min: 1n, max: 10n ** 70n }).map(String),
      fc.bigInt({ min: 49n * 10n ** 54n, max: 49n * 10n ** 54n + 20n }).map(String),
    ),
    time: fc.integer({ min: 1000, max: 9_999_999_999_999 }).map((ms) => String(ms / 1000)),
    data,
    key: fc.string({ maxLength: 40 }).map((key) => key.replaceAll(/["\\]/g, ' ')),
  },
  { requiredKeys: [] },
);

describe('with vectors', () => {
  it('whatever is written as usual is read, as one by one', () => {
    const answers = fc.array(usual, { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(answers, (records) => {
        expect(find(answerOf(...records))).toBeDefined();
      }),
      { numRuns: 2_000 },
    );
  });

  it('members are read in any order, and the encryption type', () => {
    const members = recordOf({ data: Buffer.alloc(50, 'x') })
      .slice(1, -1)
      .split(',');
    fc.assert(
      fc.property(fc.shuffledSubarray([...members, '"EncryptionType":"KMS"'], { minLength: 5 }), (given) => {
        expect(find(`{"Records":[{${given.join(',')}},${recordOf({})}]}`)).toBeDefined();
      }),
    );
  });

  it.each([
    ['"Data":"YQ==","SequenceNumber":"7"', 'only its data and its number'],
    ['"Data":"YQ==","Data":"YWI=","SequenceNumber":"7","SequenceNumber":"81"', 'members given twice'],
    ['"Data":"","SequenceNumber":"7","PartitionKey":""', 'no bytes'],
  ])('a record of %s is read: %s', (members) => {
    expect(find(`{"Records":[{${members}}]}`)).toMatchObject({ length: 1 });
  });

  it.each(['"Data":"YQ=="', '"SequenceNumber":"7"', '"PartitionKey":"k"'])(
    'a record of no more than %s is left',
    (member) => {
      expect(find(`{"Records":[{${member}}]}`)).toBeUndefined();
    },
  );

  // What is not read with vectors is read one by one: here it may be given up, but not be misread.
  it('what is damaged in any place is read as one by one, or not', () => {
    const records = [{ data: Buffer.alloc(61, 0xfb), number: '49'.repeat(20), key: 'key'.repeat(7) }, { number: '8' }];
    const json = answerOf(...records);
    const end = json.indexOf(']') + 1;
    for (let at = START.length; at < end; at++) {
      find(json.slice(0, at));
      find(json.slice(0, at) + json.slice(at + 1));
      for (const char of '"\\,:{}[]=+/-.0aEe~ \n\0') find(json.slice(0, at) + char + json.slice(at + 1));
    }
  });

  it('no answer that is cut is read from what an earlier one left behind', () => {
    const json = answerOf({ data: Buffer.alloc(200, 'x') }, { number: '8' });
    for (let at = START.length; at < json.indexOf(']') + 1; at++) {
      expect(find(json)).toBeDefined();
      expect(find(json.slice(0, at))).toBeUndefined();
    }
  });

  it('of every byte only those of base64 are data, in each place of a vector and behind the last', () => {
    const text = Buffer.alloc(60, 'data').toString('base64');
    const json = (data: string): Buffer =>
      Buffer.concat([
        START,
        Buffer.from('{"SequenceNumber":"7","Data":"'),
        Buffer.from(data, 'latin1'),
        Buffer.from('"}]}'),
      ]);
    for (const at of [0, 1, 2, 3, 15, 16, 31, 64, 77, 79]) {
      for (let char = 0; char < 256; char++) {
        const bytes = json(text.slice(0, at) + String.fromCharCode(char) + text.slice(at + 1));
        const isBase64 = /[A-Za-z0-9+/]/.test(String.fromCharCode(char));
        const isPadding = at === text.length - 1 && char === 0x3d;
        const found = reader.find(bytes, START.length);
        expect([at, char, found !== undefined]).toEqual([at, char, isBase64 || isPadding]);
        if (found !== undefined) expect(seen(found)).toEqual(seen(findOneByOne(bytes, START.length)));
      }
    }
  });

  it.each([
    '1',
    '9',
    '1700000000',
    '1700000000.1',
    '1700000000.12',
    '1700000000.123',
    '1.7E9',
    '1.7e9',
    '1.441215410867E9',
    '1.44121541086E9',
    '17E8',
    '1.5E3',
    '99999999999.999',
  ])('a time of %s is read exactly', (time) => {
    const found = find(answerOf({ time }));
    expect(found).toMatchObject({ all: [{ approximateArrivalTimestamp: new Date(Math.round(Number(time) * 1000)) }] });
  });

  it('times of any milliseconds are read exactly, with an exponent as well', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 9_999_999_999_999 }), (ms) => {
        const digits = String(ms).replace(/0+$/, '');
        const text = `${digits[0]}.${digits.slice(1) || '0'}E${String(ms).length - 4}`;
        expect(find(answerOf({ time: text }))).toMatchObject({ all: [{ approximateArrivalTimestamp: new Date(ms) }] });
      }),
    );
  });

  it.each([
    '0',
    '0.5',
    '1.',
    '.5',
    '-1',
    '1.2.3',
    '1700000000.1234',
    '1.5E',
    '1.5E10',
    '1.5E+9',
    '1.5E:',
    '18446744073709551617',
    '9999999999999999999',
    'null',
    '1E',
  ])('a time of %s is left', (time) => {
    expect(find(answerOf({ time }))).toBeUndefined();
  });

  it.each(['99999999999.999E5', '999999999999'])('a time of %s, which the SDK may round, is left', (time) => {
    expect(find(answerOf({ time }))).toBeUndefined();
  });

  it.each([
    [['7', '8', '10'], true],
    [['10', '8'], false],
    [['7', '7'], false],
    [['8', '10', '9'], false],
    [['1'.repeat(56), `${'1'.repeat(55)}2`], true],
    [[`${'1'.repeat(55)}2`, '1'.repeat(56)], false],
    [['1'.repeat(56), '1'.repeat(56)], false],
    [['1'.repeat(16), '1'.repeat(16)], false],
    [[`2${'1'.repeat(40)}`, `1${'2'.repeat(40)}`], false],
    [[`1${'2'.repeat(40)}`, `2${'1'.repeat(40)}`], true],
  ])('numbers %j rise: %j', (numbers, rise) => {
    const records = (numbers as string[]).map((number) => ({ number }));
    expect(find(answerOf(...records))).toMatchObject({ arePlainAndRising: rise });
  });

  it.each([
    [20, true],
    [21, false],
  ])('%i bytes that begin as aggregated ones do are plain: %j', (size, isPlain) => {
    const frame = Buffer.concat([Uint8Array.of(0xf3, 0x89, 0x9a, 0xc2), Buffer.alloc(size - 4)]);
    expect(find(answerOf({ data: frame }))).toMatchObject({ arePlainAndRising: isPlain });
  });

  it('as many rows are read as there is room for, and no more', () => {
    const json = (count: number): string =>
      answerOf(...Array.from({ length: count }, (_, index) => ({ number: String(index + 1) })));
    expect(seen(reader.find(Buffer.from(json(16_384)), START.length))).toMatchObject({ length: 16_384 });
    expect(reader.find(Buffer.from(json(16_385)), START.length)).toBeUndefined();
  });

  it('an answer of 4 MiB is read, and none that is longer', () => {
    const json = answerOf({ data: Buffer.alloc(3_000_000, 'x') }, { number: '8' });
    const most = START.length + 4 * 1024 * 1024;
    expect(seen(reader.find(Buffer.from(json.padEnd(most)), START.length))).toMatchObject({ byteCount: 3_000_001 });
    expect(reader.find(Buffer.from(json.padEnd(most + 1)), START.length)).toBeUndefined();
  });
});

describe('when it pays', () => {
  const json = Buffer.from(answerOf(...Array.from({ length: 1_000 }, () => ({ data: Buffer.alloc(1_000, 'y') }))));

  afterEach(() => {
    vi.unstubAllGlobals();
    vi.resetModules();
  });

  it('the code is made after 8 MiB, and then reads', async () => {
    vi.resetModules();
    const { findWithVectors } = await import('./records-wasm.ts');
    const reads = Array.from({ length: 10 }, () => findWithVectors(json, START.length) !== undefined);
    expect(json.length).toBeGreaterThan(1_400_000);
    expect(reads).toEqual([false, false, false, false, false, true, true, true, true, true]);
  });

  it('without WebAssembly all are read one by one', async () => {
    vi.stubGlobal('WebAssembly', undefined);
    vi.resetModules();
    const without = await import('./records-wasm.ts');
    expect(without.VectorReader.make()).toBeUndefined();
    for (let round = 0; round < 10; round++) expect(without.findWithVectors(json, START.length)).toBeUndefined();
  });
});
