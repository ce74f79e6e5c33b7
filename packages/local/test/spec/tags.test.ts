// Tags of streams and consumers, as the Kinesis API reference and "Tag your resources" of the developer guide describe them.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { StreamARN, StreamName, specScene } from './spec-scene.ts';

const scene = specScene({
  streams: [{ name: StreamName }],
  createStreamMs: 100,
  reshardMs: 100,
  registerConsumerMs: 100,
});
const { clock } = scene;

function add(Tags: Record<string, string>): Promise<unknown> {
  return scene.client.send(new kinesis.AddTagsToStreamCommand({ StreamName, Tags }));
}

async function tagsOfStream(): Promise<Record<string, string | undefined>> {
  const { Tags = [] } = await scene.client.send(new kinesis.ListTagsForStreamCommand({ StreamName }));
  return Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value]));
}

async function tagsOf(ResourceARN: string | undefined): Promise<Record<string, string | undefined>> {
  const { Tags = [] } = await scene.client.send(new kinesis.ListTagsForResourceCommand({ ResourceARN }));
  return Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value]));
}

function numbered(count: number, from = 0): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`key${String(from + index).padStart(2, '0')}`, '']),
  );
}

async function register(Tags?: Record<string, string>): Promise<string | undefined> {
  const input = Tags === undefined ? { StreamARN, ConsumerName: 'c' } : { StreamARN, ConsumerName: 'c', Tags };
  return (await scene.client.send(new kinesis.RegisterStreamConsumerCommand(input))).Consumer?.ConsumerARN;
}

test('AddTagsToStream: it adds tags, and overwrites any existing tags that correspond to the specified tag keys', async () => {
  await add({ team: 'a', cost: 'low' });
  await add({ team: 'b' });
  expect(await tagsOfStream()).toEqual({ cost: 'low', team: 'b' });
});

test('AddTagsToStream: you can assign up to 50 tags to a data stream', async () => {
  await add(numbered(30));
  await add(numbered(20, 30));
  const tooMany = add({ more: '' });
  await expect(tooMany).rejects.toThrow(kinesis.InvalidArgumentException);
  await expect(tooMany).rejects.toThrow('a given stream cannot have more than 50 tags associated with it');
  expect(Object.keys(await tagsOfStream())).toHaveLength(50);
});

test('AddTagsToStream: a key has 1 to 128 characters, a value 0 to 256, and a request 1 to 200 tags', async () => {
  await add({ ['k'.repeat(128)]: 'v'.repeat(256), empty: '' });
  const refused: [Record<string, string>, string][] = [
    [{}, "Value '{}' at 'tags' failed to satisfy constraint: Member must have length greater than or equal to 1"],
    [numbered(201), "at 'tags' failed to satisfy constraint: Member must have length less than or equal to 200"],
    [
      { '': 'v' },
      "Value '{=v}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]",
    ],
    [{ ['k'.repeat(129)]: '' }, "at 'tags' failed to satisfy constraint: Map keys must satisfy constraint"],
    [
      { k: 'v'.repeat(257) },
      "at 'tags' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater than or equal to 0]",
    ],
  ];
  for (const [tags, message] of refused) {
    const answer = add(tags);
    await expect(answer, message).rejects.toThrow(kinesis.ValidationException);
    await expect(answer).rejects.toThrow(message);
  }
});

test('Tag: valid characters are Unicode letters, digits, white space, _ . / = + - @, and the colon', async () => {
  const tags = { 'ü0 _.': 'a', '/=+-@:': 'ü0 _./=+-@:', '\u00a0': '\u2003' };
  await add(tags);
  expect(await tagsOfStream()).toEqual(tags);
  for (const bad of ['a;b', 'a,b', 'a\tb', 'a%b']) {
    await expect(add({ [bad]: '' }), bad).rejects.toThrow(kinesis.InvalidArgumentException);
    await expect(add({ k: bad }), bad).rejects.toThrow(kinesis.InvalidArgumentException);
  }
});

test('Tag: a key that begins with aws: is reserved', async () => {
  await expect(add({ 'aws:cost': '1' })).rejects.toThrow(kinesis.InvalidArgumentException);
  const removed = scene.client.send(new kinesis.RemoveTagsFromStreamCommand({ StreamName, TagKeys: ['aws:cost'] }));
  await expect(removed).rejects.toThrow(kinesis.InvalidArgumentException);
});

test('RemoveTagsFromStream: each corresponding tag is removed; a tag that does not exist is ignored', async () => {
  await add({ a: '1', b: '2', c: '3' });
  await scene.client.send(new kinesis.RemoveTagsFromStreamCommand({ StreamARN, TagKeys: ['a', 'c', 'none'] }));
  expect(await tagsOfStream()).toEqual({ b: '2' });
});

test('RemoveTagsFromStream: 1 to 50 keys of 1 to 128 characters', async () => {
  const refused: [string[], string][] = [
    [[], 'Member must have length greater than or equal to 1'],
    [Object.keys(numbered(51)), 'Member must have length less than or equal to 50'],
    [
      ['a', '', 'b'],
      "Value '[a, , b]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]",
    ],
  ];
  for (const [TagKeys, message] of refused) {
    const answer = scene.client.send(new kinesis.RemoveTagsFromStreamCommand({ StreamName, TagKeys }));
    await expect(answer, message).rejects.toThrow(kinesis.ValidationException);
    await expect(answer).rejects.toThrow(message);
  }
});

test('ListTagsForStream: HasMoreTags is true when there are more than Limit; ExclusiveStartTagKey gets all tags that occur after it', async () => {
  await add({ c: '3', a: '1', e: '5', b: '2', d: '4' });
  const pages: (string | undefined)[][] = [];
  for (let ExclusiveStartTagKey: string | undefined, more: boolean | undefined = true; more; ) {
    const input: kinesis.ListTagsForStreamCommandInput = { StreamName, Limit: 2, ExclusiveStartTagKey };
    const { Tags = [], HasMoreTags } = await scene.client.send(new kinesis.ListTagsForStreamCommand(input));
    pages.push(Tags.map(({ Key }) => Key));
    ExclusiveStartTagKey = Tags.at(-1)?.Key;
    more = HasMoreTags;
  }
  expect(pages).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
  const tooMany = scene.client.send(new kinesis.ListTagsForStreamCommand({ StreamName, Limit: 51 }));
  await expect(tooMany).rejects.toThrow(kinesis.ValidationException);
});

test('CreateStream: tags take effect from the CREATING status of the stream, but can be updated only when it is ACTIVE', async () => {
  const name = 'tagged';
  const Tags = { team: 'a' };
  await scene.client.send(new kinesis.CreateStreamCommand({ StreamName: name, ShardCount: 1, Tags }));
  const listed = await scene.client.send(new kinesis.ListTagsForStreamCommand({ StreamName: name }));
  expect(listed.Tags).toEqual([{ Key: 'team', Value: 'a' }]);
  const update = new kinesis.AddTagsToStreamCommand({ StreamName: name, Tags: { team: 'b' } });
  const early = scene.client.send(update);
  await expect(early).rejects.toThrow(kinesis.ResourceInUseException);
  await expect(early).rejects.toThrow('Stream tagged under account 000000000000 not ACTIVE, instead in state CREATING');
  clock.advance(100);
  await scene.client.send(update);
  expect(await tagsOf(StreamARN.replace(StreamName, name))).toEqual({ team: 'b' });
});

test('CreateStream: with tags that may not be, there is no stream', async () => {
  for (const Tags of [{ 'aws:x': '' }, numbered(51)]) {
    const create = scene.client.send(new kinesis.CreateStreamCommand({ StreamName: 'none', ShardCount: 1, Tags }));
    await expect(create).rejects.toThrow(kinesis.InvalidArgumentException);
  }
  expect((await scene.client.send(new kinesis.ListStreamsCommand({}))).StreamNames).toEqual([StreamName]);
});

test('DeleteStream: any tags are dissociated from the stream', async () => {
  await add({ a: '1' });
  await scene.client.send(new kinesis.DeleteStreamCommand({ StreamName }));
  await scene.client.send(new kinesis.CreateStreamCommand({ StreamName, ShardCount: 1 }));
  expect(await tagsOfStream()).toEqual({});
});

test('TagResource, UntagResource, ListTagsForResource: a stream has the same tags by its ARN as by its name', async () => {
  await scene.client.send(new kinesis.TagResourceCommand({ ResourceARN: StreamARN, Tags: { a: '1', b: '2' } }));
  expect(await tagsOfStream()).toEqual({ a: '1', b: '2' });
  await scene.client.send(new kinesis.UntagResourceCommand({ ResourceARN: StreamARN, TagKeys: ['a'] }));
  await add({ c: '3' });
  expect(await tagsOf(StreamARN)).toEqual({ b: '2', c: '3' });
});

test('RegisterStreamConsumer: tags take effect from the CREATING status of the consumer', async () => {
  const consumerArn = await register({ team: 'a' });
  expect(await tagsOf(consumerArn)).toEqual({ team: 'a' });
  expect(await tagsOfStream()).toEqual({});
  const early = scene.client.send(new kinesis.TagResourceCommand({ ResourceARN: consumerArn, Tags: { team: 'b' } }));
  await expect(early).rejects.toThrow(kinesis.ResourceInUseException);
});

test('TagResource, UntagResource: a consumer has tags of its own', async () => {
  const ResourceARN = await register();
  clock.advance(100);
  await scene.client.send(new kinesis.TagResourceCommand({ ResourceARN, Tags: { a: '1', b: '2' } }));
  await scene.client.send(new kinesis.UntagResourceCommand({ ResourceARN, TagKeys: ['a'] }));
  expect(await tagsOf(ResourceARN)).toEqual({ b: '2' });
  expect(await tagsOfStream()).toEqual({});
});

test('a resource that is not there is not found, and what is no ARN of Kinesis is refused', async () => {
  const gone = `${StreamARN}/consumer/gone:1`;
  for (const ResourceARN of [gone, `${StreamARN}s`]) {
    await expect(tagsOf(ResourceARN)).rejects.toThrow(kinesis.ResourceNotFoundException);
    const tagged = scene.client.send(new kinesis.TagResourceCommand({ ResourceARN, Tags: { a: '1' } }));
    await expect(tagged).rejects.toThrow(kinesis.ResourceNotFoundException);
  }
  await expect(tagsOf('arn:aws:sqs:us-east-1:000000000000:orders')).rejects.toThrow(
    "at 'resourceARN' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\\d{12}:.*stream/\\S+",
  );
});
