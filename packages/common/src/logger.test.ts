// What is written where is tested in a process of its own: test/logger.test.ts.
import { pino } from 'pino';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { UsageError } from './errors.ts';
import { type Logger, resolveLogger, silentLogger } from './logger.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('a given logger', () => {
  test('gets a child with the bindings; pino itself fits the type', () => {
    const lines: string[] = [];
    const given: Logger = pino({ level: 'trace', base: null, timestamp: false }, { write: (line) => lines.push(line) });
    const log = resolveLogger(given, { application: 'billing', worker: 'w1' });
    log.child({ shard: 'shardId-000000000000' }).warn({ attempt: 2 }, 'retrying');
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { level: 40, application: 'billing', worker: 'w1', shard: 'shardId-000000000000', attempt: 2, msg: 'retrying' },
    ]);
  });

  test('that lacks a method is a usage error', () => {
    for (const wrong of [console, {}, null, 'pino', { ...silentLogger, child: undefined }]) {
      expect(() => resolveLogger(wrong as unknown as Logger, {})).toThrow(UsageError);
    }
  });
});

describe('without one', () => {
  test('the log is silent, and no pino is made', () => {
    for (const level of ['', 'silent']) {
      vi.stubEnv('SHARDLINE_LOG_LEVEL', level);
      const log = resolveLogger(undefined, { worker: 'w1' });
      expect(log).toBe(silentLogger);
      expect(log.child({ shard: 'x' })).toBe(silentLogger);
    }
  });

  test('an unknown level in the environment is a usage error', () => {
    vi.stubEnv('SHARDLINE_LOG_LEVEL', 'loud');
    expect(() => resolveLogger(undefined, {})).toThrow(
      'SHARDLINE_LOG_LEVEL: expected fatal | error | warn | info | debug | trace | silent, got "loud"',
    );
  });
});

test('silentLogger takes every call', () => {
  for (const method of ['trace', 'debug', 'info', 'warn', 'error'] as const) {
    expect(silentLogger[method]({ a: 1 }, 'message')).toBeUndefined();
  }
});

test('what a logger throws ends nothing, and is told once', async () => {
  const warning = new Promise<Error>((resolve) => process.once('warning', resolve));
  const broken = (): never => {
    throw new Error('disk full');
  };
  const methods = { trace: broken, debug: broken, info: broken, warn: broken, error: broken };
  const logger = resolveLogger({ ...methods, child: () => ({ ...methods, child: broken }) }, {});
  logger.error({}, 'lost');
  logger.child({}).warn({}, 'lost');
  expect((await warning).message).toContain('a logger given to Shardline has thrown');
  expect((await warning).message).toContain('disk full');
});
