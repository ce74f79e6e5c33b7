// IncreaseStreamRetentionPeriod and DecreaseStreamRetentionPeriod, sentence by sentence.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { expectRefusal, hourMs, StreamName, specScene } from './spec-scene.ts';

const scene = specScene();

function increase(RetentionPeriodHours: number): Promise<unknown> {
  return scene.client.send(new kinesis.IncreaseStreamRetentionPeriodCommand({ StreamName, RetentionPeriodHours }));
}

function decrease(RetentionPeriodHours: number): Promise<unknown> {
  return scene.client.send(new kinesis.DecreaseStreamRetentionPeriodCommand({ StreamName, RetentionPeriodHours }));
}

async function hours(): Promise<number | undefined> {
  return (await scene.summary())?.RetentionPeriodHours;
}

test('IncreaseStreamRetentionPeriod: "this operation increases the time period during which records that have not yet expired are accessible"', async () => {
  await scene.put('a');
  scene.clock.advance(24 * hourMs);
  await increase(48);
  expect(await hours()).toBe(48);
  scene.clock.advance(24 * hourMs);
  expect(await scene.read()).toEqual(['a']);
  scene.clock.advance(1);
  expect(await scene.read()).toEqual([]);
});

test('IncreaseStreamRetentionPeriod: "it does not make previous, expired data (older than the stream\'s previous retention period) accessible after the operation has been called"', async () => {
  await scene.put('expired');
  scene.clock.advance(1);
  await scene.put('not yet');
  scene.clock.advance(24 * hourMs);
  await increase(168);
  expect(await scene.read()).toEqual(['not yet']);
});

test('DecreaseStreamRetentionPeriod: "if the stream\'s retention period is 48 hours and is decreased to 24 hours, any data already in the stream that is older than 24 hours is inaccessible"', async () => {
  await increase(48);
  await scene.put('older');
  scene.clock.advance(1);
  await scene.put('24 hours old');
  scene.clock.advance(24 * hourMs);
  expect(await scene.read()).toEqual(['older', '24 hours old']);
  await decrease(24);
  expect(await hours()).toBe(24);
  expect(await scene.read()).toEqual(['24 hours old']);
  await increase(48);
  expect(await scene.read()).toEqual(['24 hours old']);
});

test('IncreaseStreamRetentionPeriod: "The maximum value of a stream\'s retention period is 8760 hours (365 days)"', async () => {
  await increase(8760);
  expect(await hours()).toBe(8760);
  await expectRefusal(
    increase(8761),
    kinesis.InvalidArgumentException,
    'Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.',
  );
});

test('DecreaseStreamRetentionPeriod: "The minimum value of a stream\'s retention period is 24 hours"', async () => {
  await increase(25);
  await decrease(24);
  await expectRefusal(
    decrease(23),
    kinesis.InvalidArgumentException,
    'Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.',
  );
});

test('RetentionPeriodHours: "Must be more than the current retention period", "Must be less than the current retention period" (or the same, see the README)', async () => {
  await increase(48);
  await expectRefusal(increase(47), kinesis.InvalidArgumentException);
  await expectRefusal(decrease(49), kinesis.InvalidArgumentException);
  await increase(48);
  await decrease(48);
  expect(await hours()).toBe(48);
});
