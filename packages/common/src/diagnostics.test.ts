import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { consumerDiagnostics, type DiagnosticName, onDiagnostic, producerDiagnostics } from './diagnostics.ts';

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

const all = [...Object.values(producerDiagnostics), ...Object.values(consumerDiagnostics)];
const putMessage = { producer: 'p1', stream: 'orders', partitionKey: 'k', dataBytes: 3 };

describe('the channels', () => {
  test('have one name each, in one scheme', () => {
    const names = all.map((each) => String(each.name));
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^shardline:(producer|consumer):[a-z]+(-[a-z]+)*$/);
  });

  test('are named as their property says', () => {
    const kebab = (text: string): string => text.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    for (const [property, { name }] of Object.entries(producerDiagnostics)) {
      expect(name).toBe(`shardline:producer:${kebab(property)}`);
    }
    for (const [property, { name }] of Object.entries(consumerDiagnostics)) {
      expect(name).toBe(`shardline:consumer:${kebab(property)}`);
    }
  });

  test('have no subscriber until somebody listens, so that a caller need not build the message', () => {
    for (const each of all) expect(each.hasSubscribers).toBe(false);
    const stop = onDiagnostic('shardline:producer:put', () => undefined);
    expect(producerDiagnostics.put.hasSubscribers).toBe(true);
    expect(producerDiagnostics.settle.hasSubscribers).toBe(false);
    stop();
    expect(producerDiagnostics.put.hasSubscribers).toBe(false);
  });

  test("are Node's own, for tools that know the names alone", () => {
    const seen: unknown[] = [];
    const listener = (message: unknown): void => {
      seen.push(message);
    };
    subscribe('shardline:producer:put', listener);
    stops.push(() => unsubscribe('shardline:producer:put', listener));
    producerDiagnostics.put.publish(putMessage);
    expect(seen).toEqual([putMessage]);
    for (const each of all) expect(channel(each.name)).toBe(each);
  });
});

describe('onDiagnostic', () => {
  test('gives the messages of its channel, typed, until it is stopped', () => {
    const keys: (string | undefined)[] = [];
    const name: DiagnosticName = 'shardline:producer:put';
    const stop = onDiagnostic(name, ({ partitionKey }) => keys.push(partitionKey));
    stops.push(stop);
    producerDiagnostics.put.publish(putMessage);
    consumerDiagnostics.leaderElected.publish({ application: 'billing', worker: 'w1', leader: true });
    stop();
    stop();
    producerDiagnostics.put.publish({ ...putMessage, partitionKey: 'late' });
    expect(keys).toEqual(['k']);
  });

  test('the same listener may be added twice and is stopped one at a time', () => {
    let count = 0;
    const listener = (): void => {
      count++;
    };
    const stopFirst = onDiagnostic('shardline:producer:put', listener);
    stops.push(stopFirst, onDiagnostic('shardline:producer:put', listener));
    producerDiagnostics.put.publish(putMessage);
    stopFirst();
    producerDiagnostics.put.publish(putMessage);
    expect(count).toBe(3);
  });
});

test('docs/diagnostics.md has a row for each channel, with the fields of its message', () => {
  const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');
  const types = read('./diagnostics.ts').replace(/\/\*\*[\s\S]*?\*\//g, '');
  const everywhere = new Set(['producer', 'stream', 'streamArn?', 'application', 'worker', 'leaseKey']);
  const declared = Array.from(
    types.matchAll(/'(shardline:[\w:-]+)': (\{[\s\S]*?\n? {0,2}\});\n/g),
    ([, name = '', body = '']) => {
      const plain = body.slice(1, -1).replace(/\{[^}]*\}/g, '');
      const fields = Array.from(plain.matchAll(/(\w+\??): /g), ([, field = '']) => field);
      return { name, fields: fields.filter((field) => !everywhere.has(field)) };
    },
  );
  const rows = Array.from(
    read('../../../docs/diagnostics.md').matchAll(/^\| `(shardline:[^`]+)` \| [^|]+ \| (.*) \|$/gm),
  );
  const documented = rows.map(([, name = '', payload = '']) => {
    const parts = payload.split('; ').flatMap((part) => part.replace(/: .*/, '').split(', '));
    return { name, fields: parts.map((part) => part.replaceAll('`', '')) };
  });
  expect(documented).toEqual(declared);
  expect(declared).toHaveLength(all.length);
});
