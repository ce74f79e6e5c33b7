// AddTagsToStream, RemoveTagsFromStream, ListTagsForStream, and the same for whatever has an ARN: TagResource, UntagResource,
// ListTagsForResource.
import type { ConsumerAddress, StreamAddress, Tags } from '../../model/index.ts';
import { MAX_TAGS, sortedTags, withoutTags, withTags } from '../../model/tags.ts';
import { resourceOfArn, streamNameOf, whereIs } from '../caller.ts';
import { integer, optional, required, text } from '../input-check.ts';
import type { WireObject } from '../wire-format.ts';
import { resourceArnText, streamAddress, streamId, tagKeys, tagMap } from './members.ts';
import { type Answer, type Context, empty, members, type OperationTable, operation } from './operation.ts';

const addTagsToStream = operation({ ...streamAddress, Tags: required(tagMap) }, (input, context) => {
  return add(input.Tags, { streamName: streamNameOf(input) }, context);
});

const removeTagsFromStream = operation({ ...streamAddress, TagKeys: required(tagKeys) }, (input, context) => {
  return remove(input.TagKeys, { streamName: streamNameOf(input) }, context);
});

const listTagsForStream = operation(
  {
    ...streamAddress,
    ExclusiveStartTagKey: optional(text({ min: 1, max: 128 })),
    Limit: optional(integer({ min: 1, max: MAX_TAGS })),
  },
  (input, { model, now }) => {
    const { ExclusiveStartTagKey: after = '', Limit = MAX_TAGS } = input;
    const { settings } = model.stream(streamNameOf(input), now);
    const all = sortedTags(settings.tags).filter(({ key }) => key > after);
    const page = all.slice(0, Limit);
    return members({ Tags: page.map(tagMembers), HasMoreTags: page.length < all.length });
  },
);

const resourceAddress = { ResourceARN: required(resourceArnText), StreamId: streamId };

const tagResource = operation({ ...resourceAddress, Tags: required(tagMap) }, ({ ResourceARN, Tags: added }, context) =>
  add(added, resourceOfArn(ResourceARN), context),
);

const untagResource = operation(
  { ...resourceAddress, TagKeys: required(tagKeys) },
  ({ ResourceARN, TagKeys: keys }, context) => remove(keys, resourceOfArn(ResourceARN), context),
);

const listTagsForResource = operation(resourceAddress, ({ ResourceARN }, { model, now }) => {
  const { tags } = model.settingsOf(resourceOfArn(ResourceARN), now);
  return members({ Tags: sortedTags(tags).map(tagMembers) });
});

export const tagOperations: OperationTable = {
  AddTagsToStream: addTagsToStream,
  RemoveTagsFromStream: removeTagsFromStream,
  ListTagsForStream: listTagsForStream,
  TagResource: tagResource,
  UntagResource: untagResource,
  ListTagsForResource: listTagsForResource,
};

/** "You can't make any updates to the tags until the stream is in ACTIVE state" (API_CreateStream). */
function add(added: Tags, address: StreamAddress | ConsumerAddress, { model, now, caller }: Context): Answer {
  model.set(address, ({ tags }) => ({ tags: withTags(tags, added, whereIs(caller, address)) }), now);
  return empty;
}

function remove(
  keys: readonly string[],
  address: StreamAddress | ConsumerAddress,
  { model, now, caller }: Context,
): Answer {
  model.set(address, ({ tags }) => ({ tags: withoutTags(tags, keys, whereIs(caller, address)) }), now);
  return empty;
}

function tagMembers({ key: Key, value: Value }: { key: string; value: string }): WireObject {
  return { Key, Value };
}
