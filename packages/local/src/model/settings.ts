// What is set on a stream or a consumer and reported again: tags, encryption, monitoring, policy. All of it is plain data, so
// that it can be kept and restored; a change makes new data and never alters the old. Nothing here encrypts, measures or
// grants anything.
import type { Tags } from './tags.ts';

/** What a stream and a consumer both have. */
export interface ResourceSettings {
  readonly tags: Tags;
}

export type ConsumerSettings = ResourceSettings;

export type StreamSettings = ResourceSettings;

export const NEW_CONSUMER_SETTINGS: ConsumerSettings = { tags: {} };

export const NEW_STREAM_SETTINGS: StreamSettings = { tags: {} };
