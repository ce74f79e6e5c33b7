// Whose claim on a folder stands, and whose fell with its process.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { takeFolder } from './folder-lock.ts';

let path: string;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'shardline-lock-'));
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

function claimsOf(...lines: string[]): void {
  writeFileSync(join(path, 'server.lock'), lines.join('\n'));
}

const IN_USE = expect.objectContaining({ code: 'DATA_IN_USE', retryable: true });

test('a folder that was taken is refused until it is given back, and who was refused is in the way of nobody', () => {
  const release = takeFolder(path);
  expect(() => takeFolder(path)).toThrow(IN_USE);
  release();
  takeFolder(path)();
});

test('a claim falls with its process, and one of no process never stood', () => {
  const { pid } = spawnSync(process.execPath, ['--version']);
  claimsOf(`claim a ${pid} - ${Date.now()}`, 'claim b 0 - 0', 'claim c x y z');
  takeFolder(path)();
});

test('a claim of a process that lives stands, with its number in the refusal', () => {
  claimsOf(`claim a ${process.ppid} - ${Date.now()}`);
  expect(() => takeFolder(path)).toThrow(`got one that process ${process.ppid} has open`);
});

test('a claim that was made before this process was there is not its own, although the number is', () => {
  claimsOf(`claim a ${process.pid} - ${Date.now() - process.uptime() * 1000 - 1_000}`);
  takeFolder(path)();
});

test('the number of a process that ended may be that of another, where the system tells when each began', () => {
  claimsOf(`claim a ${process.ppid} 1 ${Date.now()}`);
  if (existsSync('/proc/self/stat')) takeFolder(path)();
  else expect(() => takeFolder(path)).toThrow(IN_USE);
});

test('of two claims that stand the earlier one has the folder, whoever reads first', () => {
  claimsOf(
    `claim a ${process.ppid} - ${Date.now()}`,
    'claim b 999999999 - 0',
    `claim c ${process.pid} - ${Date.now()}`,
  );
  expect(() => takeFolder(path)).toThrow(`process ${process.ppid}`);
});

test('a line that a full disk cut short claims nothing, and spoils no other', () => {
  claimsOf(`claim a ${process.ppid} - ${Date.now()}`, 'release a', `claim b ${process.ppid}`);
  const release = takeFolder(path);
  expect(() => takeFolder(path)).toThrow(`process ${process.pid}`);
  release();
});

test('a folder is made with all above it, and a file is none', () => {
  takeFolder(join(path, 'a', 'b'))();
  writeFileSync(join(path, 'file'), '');
  const refused = expect.objectContaining({ code: 'USAGE', field: 'dataFolder' });
  expect(() => takeFolder(join(path, 'file'))).toThrow(refused);
  expect(() => takeFolder(join(path, 'file', 'below'))).toThrow(refused);
});

test('a folder that is not there is made, with those above it', () => {
  const deep = join(path, 'a', 'b', 'c');
  takeFolder(deep)();
  expect(existsSync(join(deep, 'server.lock'))).toBe(true);
});

test('a file in the place of the folder is refused, and so is a place where no folder can be made', () => {
  const file = join(path, 'file');
  writeFileSync(file, '');
  for (const impossible of [file, join(file, 'below')]) {
    expect(() => takeFolder(impossible)).toThrow('dataFolder: expected a folder that this user may write to, got');
  }
});

test('a folder that lets none be made in it is refused at once', () => {
  // On Linux; elsewhere /proc is not there, and / is the folder that refuses.
  expect(() => takeFolder('/proc/shardline')).toThrow('dataFolder: expected a folder that this user may write to, got');
});
