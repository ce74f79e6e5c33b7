// What fuzzing does to a request: to its bytes (flip, cut, drop, insert, splice with another request) or to its values (another
// of its kind, none, something of another kind, a list around it), so that some get past the decoders and some do not.
import { encode, Token, Type } from 'cborg';
import fc from 'fast-check';
import { CBOR_1_1, inputOf, type SdkRequest } from './sdk-requests.ts';

/** A request that was real, and has been changed one to three times. */
export function mutatedRequest(requests: readonly SdkRequest[]): fc.Arbitrary<SdkRequest> {
  const original = fc.constantFrom(...requests);
  const bytesChange = changeOfBytes(requests);
  const changes = fc.oneof(
    { arbitrary: fc.tuple(changeOfValues), weight: 3 },
    { arbitrary: fc.tuple(changeOfValues, changeOfValues), weight: 2 },
    { arbitrary: fc.array(bytesChange, { minLength: 1, maxLength: 3 }), weight: 3 },
    { arbitrary: fc.tuple(changeOfValues, bytesChange), weight: 1 },
  );
  return fc
    .tuple(original, changes)
    .map(([request, made]) => made.reduce((changed, change) => change(changed), request));
}

/** An operation with what a real request asks of it, changed up to three times. */
export function changedInput(
  requests: readonly SdkRequest[],
): fc.Arbitrary<{ readonly operation: string; readonly input: object }> {
  const changes = fc.array(changeOfInput, { maxLength: 3 });
  return fc.tuple(fc.constantFrom(...requests), changes).map(([request, made]) => {
    const input = valuesOf(request) ?? {};
    for (const change of made) change(input);
    return { operation: request.operation, input };
  });
}

export function inCbor(input: object): Buffer {
  return Buffer.from(encode(input, { typeEncoders, mapSorter: () => 0 }));
}

/** As the SDKs write it: blobs are base64, times seconds. */
export function inJson(input: object): Buffer {
  return Buffer.from(JSON.stringify(neutral(input)));
}

/** Bytes that mean something to one of the formats. */
export const token: fc.Arbitrary<Buffer> = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 9 }).map((bytes) => Buffer.from(bytes)),
  fc
    .constantFrom(
      '[',
      '{',
      '}',
      ']',
      '"',
      ',',
      ':',
      '\\',
      '\\ud800',
      '\ufeff',
      '1e999',
      '-0',
      'null',
      '"__proto__":',
      '=',
    )
    .map((text) => Buffer.from(text)),
  fc
    .constantFrom(
      'bf',
      'ff',
      '9f',
      '5f',
      '7f',
      'a0',
      '80',
      'f7',
      'c0',
      'f97e00',
      'fb7ff0000000000000',
      '1bffffffffffffffff',
    )
    .map((hex) => Buffer.from(hex, 'hex')),
  fc.constantFrom('5b1000000000000000', '9bffffffffffffffff', 'c1f97e00').map((hex) => Buffer.from(hex, 'hex')),
);

type Change = (request: SdkRequest) => SdkRequest;

const spot = fc.nat({ max: 5_000 });

function changeOfBytes(requests: readonly SdkRequest[]): fc.Arbitrary<Change> {
  const change: fc.Arbitrary<(body: Buffer) => Buffer> = fc.oneof(
    fc.tuple(spot, fc.nat({ max: 7 })).map(([at, bit]) => (body: Buffer) => {
      const flipped = Buffer.from(body);
      if (flipped.length > 0) flipped[at % flipped.length] = (flipped[at % flipped.length] ?? 0) ^ (1 << bit);
      return flipped;
    }),
    spot.map((at) => (body: Buffer) => head(body, at)),
    fc.tuple(spot, fc.nat({ max: 20 })).map(([at, length]) => (body: Buffer) => {
      return Buffer.concat([head(body, at), tail(body, at).subarray(length)]);
    }),
    fc.tuple(spot, token).map(([at, bytes]) => (body: Buffer) => {
      return Buffer.concat([head(body, at), bytes, tail(body, at)]);
    }),
    fc.tuple(spot, spot, fc.constantFrom(...requests)).map(([at, from, other]) => (body: Buffer) => {
      return Buffer.concat([head(body, at), tail(other.body, from)]);
    }),
  );
  return change.map((made) => (request) => ({ ...request, body: made(request.body) }));
}

const oddText = fc.oneof(
  fc.constantFrom('', '0', '-1', '01', 'a/b', 'x'.repeat(300), '\u0000', '\ud800', '__proto__', 'orders', 'beside2'),
  fc.constantFrom(
    'TRIM_HORIZON',
    'LATEST',
    'AT_TIMESTAMP',
    'AFTER_SEQUENCE_NUMBER',
    'FROM_TIMESTAMP',
    'ON_DEMAND',
    'KMS',
  ),
  fc.constantFrom(String(2n ** 128n - 1n), String(2n ** 128n), '9'.repeat(129), 'shardId-000000000001', 'shardId-x'),
  fc.constantFrom(
    'arn:aws:kinesis:us-east-1:000000000000:stream/orders',
    'arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/billing:9999999999999999999999',
    'arn:aws:kinesis:::stream/',
  ),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
);
const oddNumber = fc.oneof(
  fc.constantFrom(0, -1, 1, 0.5, 24, 100, 10_001, 2 ** 31, 2 ** 53, -(2 ** 31), 1e300),
  fc.integer({ min: 0, max: 1_000 }),
);
const oddTime = fc.constantFrom(-8.64e15, 0, 1e12, 8.64e15).map((ms) => new Date(ms));
const oddBytes = fc.uint8Array({ maxLength: 40 });
const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.oneof(oddText, oddNumber, oddTime, oddBytes, fc.constantFrom(true, false, null)),
  fc.oneof(fc.array(oddText, { maxLength: 3 }), fc.dictionary(oddText, oddText, { maxKeys: 3, noNullPrototype: true })),
);

/** What stands in a place, and what may stand there instead. */
type Edit = (value: unknown) => unknown;

const anotherOfItsKind: fc.Arbitrary<Edit> = fc
  .tuple(oddText, oddNumber, oddTime, oddBytes)
  .map(([text, number, time, bytes]) => (value) => {
    if (typeof value === 'string') return text;
    if (typeof value === 'number') return number;
    if (value instanceof Date) return time;
    if (value instanceof Uint8Array) return bytes;
    if (typeof value === 'boolean') return !value;
    return Array.isArray(value) ? [...(value as unknown[]), ...(value as unknown[])] : value;
  });
const edit: fc.Arbitrary<Edit> = fc.oneof(
  { arbitrary: anotherOfItsKind, weight: 6 },
  { arbitrary: fc.constant<Edit>(() => undefined), weight: 2 },
  {
    arbitrary: oddValue.map(
      (odd): Edit =>
        () =>
          odd,
    ),
    weight: 1,
  },
  { arbitrary: fc.constant<Edit>((value) => [value]), weight: 1 },
);

const changeOfInput: fc.Arbitrary<(input: object) => void> = fc.tuple(spot, edit).map(([which, made]) => (input) => {
  const places = placesIn(input);
  const place = places[which % Math.max(places.length, 1)];
  if (place === undefined) return;
  const [parent, name] = place;
  const value = made(parent[name]);
  if (value === undefined) delete parent[name];
  else parent[name] = value;
});

const changeOfValues: fc.Arbitrary<Change> = changeOfInput.map((change) => (request) => {
  const input = valuesOf(request);
  if (input === undefined) return request;
  change(input);
  return { ...request, body: request.contentType === CBOR_1_1 ? inCbor(input) : inJson(input) };
});

type Place = readonly [parent: Record<string, unknown>, name: string];

/** Undefined for a body that was changed beyond reading. */
function valuesOf({ contentType, body }: SdkRequest): object | undefined {
  try {
    const input = contentType === CBOR_1_1 ? inputOf(body) : (JSON.parse(body.toString()) as unknown);
    return typeof input === 'object' && input !== null ? input : undefined;
  } catch {
    return undefined;
  }
}

/** Every member and entry, however deep. */
function placesIn(value: object): Place[] {
  if (value instanceof Uint8Array || value instanceof Date) return [];
  return Object.entries(value).flatMap(([name, one]: [string, unknown]) => [
    [value as Record<string, unknown>, name] as const,
    ...(typeof one === 'object' && one !== null ? placesIn(one) : []),
  ]);
}

const typeEncoders = {
  Date: (at: Date) => [
    new Token(Type.tag, 1),
    at.getTime() < 0 ? new Token(Type.negint, at.getTime()) : new Token(Type.uint, at.getTime()),
  ],
};

function neutral(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof Date) return value.getTime() / 1000;
  if (Array.isArray(value)) return value.map(neutral);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, neutral(one)]));
}

function head(body: Buffer, at: number): Buffer {
  return body.subarray(0, at % (body.length + 1));
}

function tail(body: Buffer, at: number): Buffer {
  return body.subarray(at % (body.length + 1));
}
