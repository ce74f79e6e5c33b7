// ListStreams, sentence by sentence.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { arnOf, expectRefusal, StreamName, specScene } from './spec-scene.ts';

const many = Array.from({ length: 101 }, (_, number) => ({ name: `s-${number + 100}` }));
const scene = specScene({ shardLimit: 500, streams: [{ name: StreamName, shardCount: 2 }, ...many] });
const list = (input: kinesis.ListStreamsCommandInput = {}): Promise<kinesis.ListStreamsCommandOutput> =>
  scene.client.send(new kinesis.ListStreamsCommand(input));

test('"Kinesis Data Streams uses the default limit, which is currently 100"; "If you specify a value greater than 100, at most 100 results are returned"', async () => {
  for (const Limit of [undefined, 101, 10_000]) {
    const { StreamNames = [], HasMoreStreams } = await list(Limit === undefined ? {} : { Limit });
    expect([StreamNames.length, StreamNames[0], HasMoreStreams]).toEqual([100, StreamName, true]);
  }
});

test('"You can request more streams by using the name of the last stream in the ExclusiveStartStreamName parameter … until all the stream names have been collected"', async () => {
  const names: string[] = [];
  for (let hasMore = true; hasMore && names.length < 200; ) {
    const last = names.at(-1);
    const page = await list({ Limit: 30, ...(last && { ExclusiveStartStreamName: last }) });
    names.push(...(page.StreamNames ?? []));
    hasMore = page.HasMoreStreams ?? false;
  }
  expect(names).toEqual([StreamName, ...many.map(({ name }) => name)]);
});

test('a NextToken alone decides where the list goes on; the last page has none', async () => {
  const { NextToken } = await list({ Limit: 2 });
  expect((await list({ NextToken, Limit: 1, ExclusiveStartStreamName: 's-190' })).StreamNames).toEqual(['s-101']);
  const rest = await list({ NextToken });
  expect([rest.StreamNames?.at(-1), rest.HasMoreStreams, rest.NextToken]).toEqual(['s-200', false, undefined]);
});

test('ExpiredNextTokenException: "The pagination token passed to the operation is expired", after the 300 seconds of the other lists', async () => {
  const { NextToken } = await list();
  scene.clock.advance(300_000);
  await expect(list({ NextToken })).resolves.toBeDefined();
  scene.clock.advance(1);
  await expectRefusal(list({ NextToken }), kinesis.ExpiredNextTokenException);
});

test('InvalidArgumentException: a NextToken of another operation, or none at all', async () => {
  const { NextToken: ofShards } = await scene.client.send(new kinesis.ListShardsCommand({ StreamName, MaxResults: 1 }));
  const own = (await list()).NextToken;
  for (const NextToken of [ofShards, 's-100', Buffer.from('s-100').toString('base64'), `${own?.slice(0, -1)}`]) {
    await expectRefusal(list({ NextToken }), kinesis.InvalidArgumentException, 'Invalid NextToken.');
  }
  const consumers = new kinesis.ListStreamConsumersCommand({ StreamARN: arnOf(StreamName), NextToken: own });
  await expectRefusal(scene.client.send(consumers), kinesis.InvalidArgumentException, 'Invalid NextToken.');
});

test('StreamSummary: the name, the ARN, the status, the mode and "the timestamp at which the stream was created"', async () => {
  const createdMs = scene.clock.wallNow();
  await scene.client.send(new kinesis.CreateStreamCommand({ StreamName: 'new', ShardCount: 1 }));
  expect((await list({ Limit: 1 })).StreamSummaries).toEqual([
    {
      StreamName: 'new',
      StreamARN: arnOf('new'),
      StreamStatus: 'ACTIVE',
      StreamModeDetails: { StreamMode: 'PROVISIONED' },
      StreamCreationTimestamp: new Date(createdMs),
    },
  ]);
});
