// Planted bugs of a leader with more leases than its workers may have.
import type { Event } from '../../../consumer/dist/coordination/effects.js';
import { answers } from '../../../consumer/dist/coordination/effects.js';
import type { PlantedBug } from './planted-bugs.ts';

export function noRoomBugs(): readonly PlantedBug[] {
  return [pastTheMaximum(), toldOnce(), neverTakenBack(), namesTheFirst(), looksAtNewcomersLater()];
}

function pastTheMaximum(): PlantedBug {
  return {
    name: 'past-the-maximum',
    mistake: 'a worker that has its maximum of leases gets one more',
    options: (options) => ({ ...options, maxLeasesForWorker: options.maxLeasesForWorker + 1 }),
  };
}

function toldOnce(): PlantedBug {
  let told = '';
  return {
    name: 'told-once',
    mistake: 'leases that nobody has room for are named when they change, and not while they stay so',
    notice: (notice) => {
      if (notice.kind !== 'leasesUnplaced') return notice;
      const before = told;
      told = notice.leaseKeys.join();
      return told === before ? undefined : notice;
    },
  };
}

function neverTakenBack(): PlantedBug {
  return {
    name: 'never-taken-back',
    mistake: 'nobody is told that leases have a worker again',
    notice: (notice) => (notice.kind === 'leasesUnplaced' && notice.leaseKeys.length === 0 ? undefined : notice),
  };
}

function namesTheFirst(): PlantedBug {
  return {
    name: 'names-the-first',
    mistake: 'of several leases that nobody has room for one is named',
    notice: (notice) =>
      notice.kind === 'leasesUnplaced' ? { ...notice, leaseKeys: notice.leaseKeys.slice(0, 1) } : notice,
  };
}

function looksAtNewcomersLater(): PlantedBug {
  const seen = new Map<string, number>();
  return {
    name: 'looks-at-newcomers-later',
    mistake: 'a worker that has come is given leases only in the third run that sees it',
    event: (event) => {
      if (event.kind !== 'done' || !answers(event, 'readTable') || event.effect.for !== 'leader') return event;
      const workers = event.result.workers.filter(({ workerId }) => {
        const count = (seen.get(workerId) ?? 0) + 1;
        seen.set(workerId, count);
        return count > 2;
      });
      return { ...event, result: { ...event.result, workers } } as Event;
    },
  };
}
