// Lines out of bytes, wherever the chunks happen to be cut; and what is no input.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import type { LinesFrom } from './arguments.ts';
import { MAX_LINE_BYTES, openLines, splitLines } from './line-reader.ts';

const folder = mkdtempSync(join(tmpdir(), 'shardline-lines-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function* chunksOf(...chunks: (string | Uint8Array)[]): AsyncGenerator<Buffer, void, void> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

async function all(lines: AsyncIterator<Buffer, void, void>): Promise<string[]> {
  const texts: string[] = [];
  for (let next = await lines.next(); !next.done; next = await lines.next()) texts.push(next.value.toString('latin1'));
  return texts;
}

const open = async (from: LinesFrom): Promise<string[]> => {
  const source = await openLines(from, new AbortController().signal);
  try {
    return await all(source.lines);
  } finally {
    source.close();
  }
};

function file(name: string, content: string): LinesFrom {
  const path = join(folder, name);
  writeFileSync(path, content);
  return { kind: 'file', path };
}

test.each([
  ['a last line needs no LF', ['a\nb'], ['a', 'b']],
  ['a last LF begins no line', ['a\nb\n'], ['a', 'b']],
  ['empty lines are lines', ['\n\na\n\n'], ['', '', 'a', '']],
  ['a CR before LF is left out', ['a\r\nb\r\n\r\n'], ['a', 'b', '']],
  ['a CR elsewhere stays', ['a\rb\n\r\r\n'], ['a\rb', '\r']],
  ['CR and LF in two chunks', ['a\r', '\nb'], ['a', 'b']],
  ['a line in many chunks', ['a', '', 'b', 'c\n', 'd'], ['abc', 'd']],
  ['nothing', [], []],
])('%s', async (_, chunks, lines) => {
  expect(await all(splitLines(chunksOf(...chunks)))).toEqual(lines);
});

test('the cuts between chunks make no difference', async () => {
  const content = fc.array(fc.constantFrom(0x0a, 0x0d, 0x20, 0x61, 0xff), { maxLength: 60 });
  const cuts = fc.array(fc.nat(60), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(content, cuts, async (bytes, at) => {
      const whole = Buffer.from(bytes);
      const places = [0, ...at.filter((place) => place <= whole.length).sort((a, b) => a - b), whole.length];
      const chunks = places.slice(1).map((end, index) => whole.subarray(places[index], end));
      const expected = whole
        .toString('latin1')
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => line.replace(/\r$/, ''));
      expect(await all(splitLines(chunksOf(...chunks)))).toEqual(whole.length === 0 ? [] : expected);
    }),
  );
});

test('the longest line passes, one byte more is refused by its number', async () => {
  const longest = 'x'.repeat(MAX_LINE_BYTES);
  expect(await all(splitLines(chunksOf(`a\n${longest}\r\nb`)))).toEqual(['a', longest, 'b']);
  await expect(all(splitLines(chunksOf('a\n', `${longest}y`, '\nb')))).rejects.toThrow(
    `--input: expected lines of at most ${MAX_LINE_BYTES} bytes (a record holds no more), got a longer one at line 2`,
  );
});

test('an endless line is refused before it has been read', async () => {
  let readCount = 0;
  async function* endless(): AsyncGenerator<Buffer, void, void> {
    for (;;) {
      readCount++;
      yield Buffer.alloc(64 * 1024, 0x61);
    }
  }
  await expect(all(splitLines(endless()))).rejects.toThrow('got a longer one at line 1');
  expect(readCount).toBeLessThan(20);
});

test('a file gives its lines', async () => {
  expect(await open(file('two.log', 'one\ntwo\n'))).toEqual(['one', 'two']);
});

test('an empty file is a usage error', async () => {
  await expect(open(file('empty.log', ''))).rejects.toMatchObject({
    code: 'USAGE',
    message: '--input: expected a file with at least one line, got an empty one',
  });
});

test('a file that is not there, or is a folder, is named with the reason', async () => {
  const path = join(folder, 'missing.log');
  await expect(open({ kind: 'file', path })).rejects.toMatchObject({
    code: 'INPUT_UNREADABLE',
    message: expect.stringMatching(/^--input: expected a file that can be read, got ".*missing\.log" \(ENOENT/),
  });
  await expect(open({ kind: 'file', path: folder })).rejects.toMatchObject({ code: 'INPUT_UNREADABLE' });
});

test('the generator repeats itself for a seed, and only for it', async () => {
  const clicks = (seed: number, recordCount = 500): Promise<string[]> => open({ kind: 'generator', recordCount, seed });
  const first = await clicks(1);
  expect(first).toHaveLength(500);
  expect(await clicks(1)).toEqual(first);
  expect(await clicks(1, 120)).toEqual(first.slice(0, 120));
  expect(await clicks(2)).not.toEqual(first);
});

test('the generator has hot keys', async () => {
  const counts = new Map<string, number>();
  for (const line of await open({ kind: 'generator', recordCount: 3_000, seed: 3 })) {
    const visitor = line.split(' ')[0] ?? '';
    counts.set(visitor, (counts.get(visitor) ?? 0) + 1);
  }
  const [first = 0, , third = 0, fourth = 0] = [...counts.values()].sort((a, b) => b - a);
  expect(first).toBeGreaterThan(100);
  expect(third).toBeGreaterThan(5 * fourth);
});
