import { expect, test } from 'vitest';
import { loneRecord } from '../test/records.ts';
import type { KinesisRecord } from './batch.ts';
import { Followers, isFollowedBy } from './followers.ts';

function waiting(): KinesisRecord {
  const kinesisRecord = loneRecord('0');
  kinesisRecord.phase = 'waiting';
  return kinesisRecord;
}

test('what waits is free when all that it waits for has settled, and not before', () => {
  const followers = new Followers({ bufferedTimeMs: 100 });
  const [one, other, behind] = [loneRecord('0'), loneRecord('0'), waiting()];
  for (const leader of [one, other, one]) followers.follow(behind, leader);
  expect(one.followers).toEqual([behind]);
  expect(followers.settled(one, 5)).toEqual([]);
  expect(followers.waits(behind)).toBe(true);
  expect(followers.settled(other, 6)).toEqual([behind]);
  expect(followers.waits(behind)).toBe(false);
});

test('it is overdue a buffered time after a part of it could go', () => {
  const followers = new Followers({ bufferedTimeMs: 100 });
  const [one, other, behind, patient] = [loneRecord('0'), loneRecord('0'), waiting(), waiting()];
  for (const leader of [one, other]) followers.follow(behind, leader);
  followers.follow(patient, other);
  expect(followers.deadline()).toBe(Number.POSITIVE_INFINITY);
  followers.settled(one, 5);
  expect(followers.partlyFree()).toEqual([behind]);
  expect(followers.deadline()).toBe(105);
  expect(followers.overdue(104)).toEqual([]);
  expect(followers.overdue(105)).toEqual([behind]);
});

test('whoever adds one says when it expires, and a look for what is overdue says when the next one does', () => {
  const followers = new Followers({ bufferedTimeMs: 100 });
  followers.follow(waiting(), loneRecord('0'));
  followers.watch(400);
  followers.watch(700);
  expect(followers.deadline()).toBe(400);
  // A user record that is not packed is watched where all of them are.
  expect(followers.overdue(400)).toEqual([]);
  expect(followers.deadline()).toBe(Number.POSITIVE_INFINITY);
});

test('what stops to wait says what it waited for, which has no follower then', () => {
  const followers = new Followers({ bufferedTimeMs: 100 });
  const [leader, one, other] = [loneRecord('0'), waiting(), waiting()];
  for (const behind of [one, other]) followers.follow(behind, leader);
  expect(followers.stop(one)).toEqual([leader]);
  expect(followers.stop(one)).toEqual([]);
  expect(leader.followers).toEqual([other]);
});

test('of those that have a key the last one carries it: what waits comes before what it waits for', () => {
  const followers = new Followers({ bufferedTimeMs: 100 });
  const [second, sent, done, first] = [waiting(), loneRecord('0'), loneRecord('0'), waiting()];
  followers.follow(first, sent);
  followers.follow(second, first);
  followers.follow(first, done);
  done.phase = 'done';
  expect(followers.latestFirst([sent, first, done, second])).toEqual([second, first, sent]);
});

test('a follower is known by its number', () => {
  const followers = new Followers({ bufferedTimeMs: 100 });
  const [leader, behind] = [loneRecord('0'), waiting()];
  behind.orderNumber = 7;
  followers.follow(behind, leader);
  expect(isFollowedBy(leader, 7)).toBe(true);
  expect(isFollowedBy(leader, 8)).toBe(false);
  expect(isFollowedBy(undefined, 7)).toBe(false);
});

test('after one that was overdue none of its shard waits for a second, and for longer where the next one is overdue soon afterwards', () => {
  const followers = new Followers({ bufferedTimeMs: 100 });
  const pausesMs: number[] = [];
  for (let nowMs = 0, turn = 0; turn < 8; turn++) {
    const [one, other, behind] = [loneRecord('0'), loneRecord('0'), waiting()];
    behind.shard = 3;
    for (const leader of [one, other]) followers.follow(behind, leader);
    followers.settled(one, nowMs);
    expect(followers.areWelcome(3, nowMs)).toBe(true);
    expect(followers.overdue(nowMs + 100)).toEqual([behind]);
    followers.stop(behind);
    nowMs += 100;
    const beganMs = nowMs;
    expect(followers.areWelcome(4, nowMs)).toBe(true);
    while (!followers.areWelcome(3, nowMs)) nowMs += 100;
    pausesMs.push(nowMs - beganMs);
    if (turn === 6) nowMs += 60_001;
  }
  expect(pausesMs).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 1_000]);
});

test('where enough has left with its company one that is overdue keeps none of its shard from waiting', () => {
  const followers = new Followers({ bufferedTimeMs: 100 });
  const shard = 3;
  const waitingOf = (count: number): KinesisRecord => {
    const kinesisRecord = Object.defineProperty(waiting(), 'count', { value: count });
    kinesisRecord.shard = shard;
    return kinesisRecord;
  };
  const leave = (count: number): void => {
    const [leader, behind] = [loneRecord('0'), waitingOf(count)];
    followers.follow(behind, leader);
    expect(followers.settled(leader, 0)).toEqual([behind]);
  };
  const isWelcomeAfter = (overdueCount: number, nowMs: number): boolean => {
    const [one, other, behind] = [loneRecord('0'), loneRecord('0'), waitingOf(overdueCount)];
    for (const leader of [one, other]) followers.follow(behind, leader);
    followers.settled(one, nowMs - 100);
    expect(followers.overdue(nowMs)).toEqual([behind]);
    followers.stop(behind);
    return followers.areWelcome(shard, nowMs);
  };
  leave(300);
  leave(100);
  expect(isWelcomeAfter(100, 200)).toBe(true);
  expect(isWelcomeAfter(1, 200)).toBe(false);
  // Of what has gone well not more is remembered than ten times this.
  for (let turn = 0; turn < 20; turn++) leave(400);
  for (let turn = 0; turn < 10; turn++) expect(isWelcomeAfter(100, 90_000)).toBe(true);
  expect(isWelcomeAfter(100, 90_000)).toBe(false);
});

test('what expires while others are overdue is not forgotten', () => {
  const followers = new Followers({ bufferedTimeMs: 100 });
  const packed = Object.defineProperty(waiting(), 'unwatchedUntilMs', { value: 900 });
  followers.follow(packed, loneRecord('0'));
  followers.watch(400);
  expect(followers.overdue(400)).toEqual([]);
  expect(followers.deadline()).toBe(900);
  expect(followers.overdue(900)).toEqual([packed]);
  expect(followers.areWelcome(packed.shard, 900)).toBe(true);
});
