// What may be a tag of a stream or a consumer. Tags are plain data, a key and a value each; a change gives new ones and leaves
// the old ones as they were.
import { KinesisError } from './errors.ts';

/** By key. */
export type Tags = Readonly<Record<string, string>>;

/** Tags of one stream or consumer (API_AddTagsToStream). */
export const MAX_TAGS = 50;

/** AWS takes a colon as well, although its own message does not list it. */
const NOT_ALLOWED = /[^\p{L}\p{Z}\p{N}_./=+\-@:%]/u;
/** "You can't start a tag key with aws: because this prefix is reserved" (Tag your resources). */
const RESERVED = /^aws:/i;

/**
 * The tags with the added ones, which overwrite those of the same key. `where` stands in messages: "stream s under account a".
 * @throws KinesisError InvalidArgumentException for characters, reserved keys, and more than 50 tags
 */
export function withTags(tags: Tags, added: Tags, where: string): Tags {
  const failed = `Failed to add tags to ${where}`;
  refuseBadTexts([...Object.keys(added), ...Object.values(added)], failed);
  refuseReserved(Object.keys(added), failed);
  const all = { ...tags, ...added };
  // AWS's message still says 10, the limit of former times.
  if (Object.keys(all).length > MAX_TAGS) {
    throw invalid(`${failed} because a given stream cannot have more than ${MAX_TAGS} tags associated with it.`);
  }
  return all;
}

/**
 * The tags without those of the keys; a key that is not there is ignored.
 * @throws KinesisError InvalidArgumentException for characters and reserved keys
 */
export function withoutTags(tags: Tags, keys: readonly string[], where: string): Tags {
  const failed = `Failed to remove tags from ${where}`;
  refuseBadTexts(keys, failed);
  refuseReserved(keys, failed);
  return Object.fromEntries(Object.entries(tags).filter(([key]) => !keys.includes(key)));
}

/** By key, in the order of their UTF-16 units: the order in which they are listed, and in which a page goes on. */
export function sortedTags(tags: Tags): { readonly key: string; readonly value: string }[] {
  return Object.entries(tags)
    .map(([key, value]) => ({ key, value }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

function refuseBadTexts(texts: readonly string[], failed: string): void {
  if (texts.some((text) => NOT_ALLOWED.test(text))) {
    throw invalid(
      'Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.',
    );
  }
  // Listed as valid by the message above, and refused all the same.
  if (texts.some((text) => text.includes('%'))) {
    throw invalid(
      `${failed} because some tags contained illegal characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.`,
    );
  }
}

function refuseReserved(keys: readonly string[], failed: string): void {
  const reserved = keys.find((key) => RESERVED.test(key));
  if (reserved === undefined) return;
  throw invalid(`${failed} because the prefix aws: is reserved, and the key ${reserved} begins with it.`);
}

function invalid(message: string): KinesisError {
  return new KinesisError('InvalidArgumentException', message);
}
