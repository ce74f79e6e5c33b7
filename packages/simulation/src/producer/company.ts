// Watches how long a key waits for its company's: where a part of what waits for others could go, it goes within `bufferedTimeMs`, whatever
// becomes of the others. Looks at what settles and at what is taken apart, with a clock of its own.
import type { KinesisRecord } from '../../../producer/dist/batch.js';
import type { Followers, FollowersOptions } from '../../../producer/dist/followers.js';

/** Puts somebody beside the followers of a pipeline, sound or broken, who hears what they are asked and what they say. */
export function watched(
  followers: Followers,
  { bufferedTimeMs }: FollowersOptions,
  violate: (text: string) => void,
): Followers {
  /** Since when a part of it could go. */
  const partlyFree = new Map<KinesisRecord, number>();
  /** Since when all of it could; it may wait again for one that goes on beside it. */
  const freeSince = new WeakMap<KinesisRecord, number>();
  const follow = followers.follow.bind(followers);
  const settled = followers.settled.bind(followers);
  const stop = followers.stop.bind(followers);
  const overdue = followers.overdue.bind(followers);

  followers.follow = (waiting, leader) => {
    const sinceMs = freeSince.get(waiting);
    if (sinceMs !== undefined) partlyFree.set(waiting, sinceMs);
    follow(waiting, leader);
  };
  followers.settled = (leader, nowMs) => {
    const waiting = leader.followers;
    const free = settled(leader, nowMs);
    for (const one of waiting) if (!partlyFree.has(one)) partlyFree.set(one, nowMs);
    for (const one of free) {
      partlyFree.delete(one);
      freeSince.set(one, nowMs);
    }
    return free;
  };
  followers.stop = (waiting) => {
    partlyFree.delete(waiting);
    return stop(waiting);
  };
  followers.overdue = (nowMs) => {
    const over = overdue(nowMs);
    for (const [waiting, sinceMs] of partlyFree)
      if (nowMs > sinceMs + bufferedTimeMs && !over.includes(waiting))
        violate(`at ${nowMs} a key waits for its company's since ${sinceMs}, which could go`);
    return over;
  };
  return followers;
}
