// Patterns and events made by chance, of so few names and values that every second event matches, and now and then a pattern that is none.
// Left out is what the engine is known to take for something else (README.md, "The rule engine"): addresses of both kinds and numbers of
// one field beside a block of addresses.
import fc, { type Arbitrary } from 'fast-check';
import type { Question } from './event-ruler.ts';

const text: Arbitrary<string> = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b', 'A'), maxLength: 4 }),
  fc.string({ unit: fc.constantFrom('a', '*', '\\', '.', 'ß', 'é', '🦊'), maxLength: 3 }),
);
const someText = text.map((given) => given || 'a');
const double: Arbitrary<string> = fc.oneof(
  fc.constantFrom('0', '1', '1.0', '10e-1', '-1', '2.5', '-0', '1e300', '1e-300', '0.1', '0.30000000000000004'),
  fc.integer({ min: -3, max: 3 }).map(String),
);
const number: Arbitrary<string> = fc.oneof(
  { weight: 5, arbitrary: double },
  {
    weight: 1,
    arbitrary: fc.constantFrom('9007199254740993', '123456789012345678901', '0.300000000000000041', '1e400'),
  },
);
const real: Arbitrary<string> = fc
  .tuple(fc.constantFrom(10, 11), fc.constant(0), fc.constantFrom(0, 1, 255), fc.nat(255))
  .map((part) => part.join('.'));
const address: Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: real },
  { weight: 1, arbitrary: fc.constantFrom('1.2.3', '256.1.1.1', '10.0.0.0.1') },
);
const block: Arbitrary<string> = fc
  .tuple(real, fc.oneof(fc.integer({ min: 0, max: 32 }), fc.constantFrom(8, 16, 24)))
  .map((parts) => parts.join('/'));
const wildcard: Arbitrary<string> = fc
  .string({ unit: fc.constantFrom('a', 'b', '*', '\\\\', '\\*'), maxLength: 5 })
  .map((given) => given.replace(/\*\*+/g, '*'));
// None with a dot: the engine takes `a.b` for a field in `a`, and which of the two it meets first decides (seed 29202089).
const name = fc.constantFrom('a', 'b', 'c', 'd');

const json = (value: Arbitrary<unknown>): Arbitrary<string> => value.map((given) => JSON.stringify(given));
const listOf = (item: Arbitrary<string>, minLength: number, maxLength: number): Arbitrary<string> =>
  fc.array(item, { minLength, maxLength }).map((items) => `[${items.join(',')}]`);
const operator = (called: string, operand: Arbitrary<string>): Arbitrary<string> =>
  operand.map((given) => `{"${called}":${given}}`);
const oneOrMore = (item: Arbitrary<string>): Arbitrary<string> => fc.oneof(item, listOf(item, 1, 3));

const comparison: Arbitrary<string> = fc.oneof(
  fc.tuple(fc.constantFrom('=', '<', '<=', '>', '>='), double).map(([sign, bound]) => `["${sign}",${bound}]`),
  fc
    .tuple(
      fc.constantFrom('>', '>='),
      fc.integer({ min: -3, max: 3 }),
      fc.constantFrom('<', '<='),
      fc.integer({ min: 0, max: 3 }),
    )
    .map(([low, from, high, more]) => `["${low}",${from},"${high}",${from + more}]`),
);
const plain: Arbitrary<string> = fc.oneof(json(text), number, fc.constantFrom('true', 'false', 'null'));
const ofText: Arbitrary<string> = fc.oneof(
  operator('prefix', json(text)),
  operator('suffix', json(text)),
  operator('prefix', operator('equals-ignore-case', json(text))),
  operator('suffix', operator('equals-ignore-case', json(text))),
  operator('equals-ignore-case', json(text)),
  operator('wildcard', json(wildcard)),
  operator('exactly', json(text)),
);
const anythingBut: Arbitrary<string> = operator(
  'anything-but',
  fc.oneof(
    oneOrMore(json(text)),
    oneOrMore(double),
    operator('prefix', oneOrMore(json(someText))),
    operator('suffix', oneOrMore(json(someText))),
    operator('equals-ignore-case', oneOrMore(json(text))),
    operator('wildcard', oneOrMore(json(wildcard))),
  ),
);
const existence = operator('exists', fc.constantFrom('true', 'false'));
const broken: Arbitrary<string> = fc.oneof(
  operator('wildcard', json(fc.constantFrom('a**', '\\a', 'a\\'))),
  operator('anything-but', fc.constantFrom('123456789012345678901', '{"prefix":""}', '[]', '["a",1]')),
  operator('numeric', fc.constantFrom('[">",1,"<",1]', '["<",1,">",0]', '["=",1,"<",2]', '["<",1e400]')),
  fc.constantFrom('{}', '[]', '{"prefix":1}', '{"numeric":[1]}', '{"cidr":"x"}', '{"prefix":"a","suffix":"a"}'),
  operator('unknown', plain),
);

const value: Arbitrary<string> = fc.oneof(
  { weight: 20, arbitrary: plain },
  { weight: 12, arbitrary: ofText },
  { weight: 10, arbitrary: anythingBut },
  { weight: 8, arbitrary: operator('numeric', comparison) },
  { weight: 8, arbitrary: existence },
  { weight: 1, arbitrary: broken },
);
const object = (field: Arbitrary<string>, maxLength: number): Arbitrary<string> =>
  fc
    .uniqueArray(fc.tuple(name, field), { minLength: 1, maxLength, selector: ([called]) => called })
    .map((fields) => `{${fields.map(([called, given]) => `"${called}":${given}`).join(',')}}`);

const patterns = fc.letrec<{ fields: string; inside: string; either: string }>((tie) => ({
  fields: fc.oneof({ weight: 7, arbitrary: object(tie('inside'), 2) }, { weight: 1, arbitrary: tie('either') }),
  inside: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 3, arbitrary: listOf(value, 1, 4) },
    { weight: 1, arbitrary: tie('fields') },
  ),
  either: fc
    .tuple(fc.option(object(listOf(value, 1, 2), 1)), fc.array(tie('fields'), { minLength: 2, maxLength: 3 }))
    .map(([beside, fields]) => `{${beside === null ? '' : `${beside.slice(1, -1)},`}"$or":[${fields.join(',')}]}`),
}));
const events = fc.letrec<{ fields: string; inside: string }>((tie) => ({
  fields: fc.oneof({ weight: 9, arbitrary: object(tie('inside'), 4) }, { weight: 1, arbitrary: fc.constant('{}') }),
  inside: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 4, arbitrary: plain },
    { weight: 2, arbitrary: listOf(tie('inside'), 0, 4) },
    { weight: 1, arbitrary: tie('fields') },
  ),
}));

/** The engine looks at texts without their case by UTF-16 units, and takes half a character for a question mark. */
const HALVED = /"equals-ignore-case":[^}]*[\u{10000}-\u{10ffff}]/u;

export const questions: Arbitrary<Question> = fc.record({
  pattern: patterns.fields.filter((pattern) => !HALVED.test(pattern)),
  event: events.fields,
});

/** Of addresses alone. */
export const addressQuestions: Arbitrary<Question> = fc.record({
  pattern: object(
    listOf(
      fc.oneof(json(address), operator('cidr', json(block)), operator('anything-but', oneOrMore(json(address)))),
      1,
      3,
    ),
    1,
  ),
  event: object(fc.oneof(json(address), listOf(json(fc.oneof(address, text)), 0, 3)), 2),
});
