import { expect, describe as group, test, vi } from 'vitest';
import {
  describe,
  InvariantError,
  isShardlineError,
  type OperatingCode,
  OperatingError,
  ShardlineError,
  UsageError,
  withoutStack,
} from './errors.ts';
import { invariant, unreachable } from './invariant.ts';

group('the three kinds', () => {
  test('a usage error names field, expectation and value', () => {
    const error = new UsageError('partitionKey', '1 to 256 UTF-16 units', 'a string of 300');
    expect(error.message).toBe('partitionKey: expected 1 to 256 UTF-16 units, got a string of 300');
    expect(error).toMatchObject({
      name: 'UsageError',
      code: 'USAGE',
      retryable: false,
      field: 'partitionKey',
      expected: '1 to 256 UTF-16 units',
      got: 'a string of 300',
    });
  });

  test('an operating error carries code, retryable and cause', () => {
    const cause = new Error('socket hang up');
    const code: OperatingCode = 'REQUEST_FAILED';
    const error = new OperatingError(code, 'PutRecords failed', { retryable: true, cause });
    expect(error).toMatchObject({ name: 'OperatingError', code: 'REQUEST_FAILED', retryable: true });
    expect(error.cause).toBe(cause);
    expect('cause' in new OperatingError('CLOSED', 'closed', { retryable: false })).toBe(false);
  });

  test('all are Errors of one base, with a stack that begins with their name', () => {
    const errors = [
      new UsageError('a', 'b', 'c'),
      new OperatingError('TIMEOUT', 'late', { retryable: true }),
      new InvariantError('counter went back'),
    ];
    for (const error of errors) {
      expect(error).toBeInstanceOf(ShardlineError);
      expect(error).toBeInstanceOf(Error);
      expect(isShardlineError(error)).toBe(true);
    }
  });

  test('the brand is not enumerable, so that it stays out of logs and JSON', () => {
    expect(Object.keys(new InvariantError('x')).sort()).toEqual(['code', 'name', 'retryable']);
    expect(Object.getOwnPropertySymbols({ ...new InvariantError('x') })).toEqual([]);
  });
});

group('the brand', () => {
  test('is shared by two copies of the package, whose classes differ', async () => {
    vi.resetModules();
    const other = await import('./errors.ts');
    const theirs = new other.UsageError('stream', 'a name', 'nothing');
    expect(theirs).not.toBeInstanceOf(UsageError);
    expect(isShardlineError(theirs)).toBe(true);
    expect(other.isShardlineError(new UsageError('stream', 'a name', 'nothing'))).toBe(true);
  });

  test('is on nothing else', () => {
    for (const value of [new Error('x'), null, undefined, 'USAGE', { code: 'USAGE' }, () => 0]) {
      expect(isShardlineError(value)).toBe(false);
    }
  });
});

test('describe says what a value is, never more than a line of it', () => {
  const cases: [unknown, string][] = [
    ['short', '"short"'],
    ['a\nb', '"a\\nb"'],
    ['x'.repeat(300), `a string of 300 ("${'x'.repeat(20)}"…)`],
    [null, 'null'],
    [undefined, 'undefined'],
    [-1, '-1'],
    [Number.NaN, 'NaN'],
    [true, 'true'],
    [5n, '5n'],
    [[1, 2], 'an array of 2'],
    [() => 0, 'a function'],
    [{}, 'an object (Object)'],
    [new Uint8Array(9), 'an object (Uint8Array)'],
    [Object.create(null), 'an object (no prototype)'],
    [Symbol('s'), 'a symbol'],
  ];
  for (const [value, expected] of cases) expect(describe(value)).toBe(expected);
});

group('invariants', () => {
  test('invariant throws unless the condition holds', () => {
    expect(() => invariant(true, 'never seen')).not.toThrow();
    expect(() => invariant(0, 'a lease has one write in flight')).toThrow(
      new InvariantError('a lease has one write in flight'),
    );
  });

  test('unreachable names the case that was forgotten', () => {
    expect(() => unreachable({ kind: 'new' } as never)).toThrow("unexpected case: { kind: 'new' }");
    expect(() => unreachable({ kind: 'new', hashKey: 5n } as never)).toThrow(InvariantError);
  });
});

test('an error made without a stack has its name and message alone, and the next one has its stack again', () => {
  const made = withoutStack(() => new OperatingError('EXPIRED', 'too late', { retryable: true }));
  expect(made.stack).toBe('OperatingError: too late');
  expect(made).toMatchObject({ name: 'OperatingError', code: 'EXPIRED', message: 'too late' });
  expect(new Error('after').stack).toContain('errors.test');
  expect(() =>
    withoutStack(() => {
      throw new Error('midway');
    }),
  ).toThrow('midway');
  expect(new Error('after').stack).toContain('errors.test');
});
