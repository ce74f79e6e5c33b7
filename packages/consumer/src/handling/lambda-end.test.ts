import { describe, expect, test } from 'vitest';
import { canSayNothingLater, watched } from './lambda-end.ts';

type Any = (...given: never[]) => unknown;

/** As it stands in a file that nobody has compiled. */
const written = (text: string): Any => new Function(`return (${text});`)() as Any;

describe('a function has neither context nor callback in its reach', () => {
  test.each([
    'function () { return 1; }',
    'function handler(event) { console.log(event); }',
    // AWS's own example.
    'function(event, context) { event.Records.forEach(function(record) { console.log(record.kinesis.data); }); }',
    '(event) => { console.log(event); }',
    'event => console.log(event)',
    '($event, _context) => console.log($event)',
    '() => undefined',
    '{ handler(event, context) { console.log(event); } }.handler',
  ])('%s', (text) => {
    expect(canSayNothingLater(written(text))).toBe(true);
  });

  test.each([
    'function (event, context) { context.done(); }',
    'function (event, context) { later(() => context.fail()); }',
    'function (event, context, callback) { }',
    'function (event) { later(arguments[2]); }',
    'function () { eval(""); }',
    '(...given) => later(given)',
    '(event, context = {}) => 1',
    '(event, { fail }) => 1',
    '(event, context /* done */) => 1',
    '(function (event, context) { later(context); }).bind(null)',
    'class { constructor(event) { } }',
    'Math.max',
  ])('not %s', (text) => {
    expect(canSayNothingLater(written(text))).toBe(false);
  });
});

describe('what a call began goes on', () => {
  test.each<[string, () => unknown]>([
    ['a promise', () => void Promise.resolve()],
    ['an async function', () => void [1].map(async () => undefined)],
    ['a timer', () => void setTimeout(() => undefined, 0)],
    ['an immediate', () => void setImmediate(() => undefined)],
    ['a microtask', () => queueMicrotask(() => undefined)],
    ['a request', () => void fetch('http://127.0.0.1:1').catch(() => undefined)],
  ])('%s', (_, call) => {
    expect(watched(call).goesOn).toBe(true);
  });

  test.each<[string, () => unknown]>([
    ['nothing', () => JSON.parse('1')],
    ['a line that is written', () => process.stdout.write('')],
    ['what others begin later', () => undefined],
  ])('not %s', async (_, call) => {
    const { goesOn } = watched(call);
    await Promise.resolve();
    expect(goesOn).toBe(false);
  });

  test('what it returns is returned, what it throws is thrown, and nothing is watched any more', () => {
    expect(watched(() => 7).returned).toBe(7);
    const failure = new Error('not today');
    expect(() =>
      watched(() => {
        throw failure;
      }),
    ).toThrow(failure);
  });
});
