// What a world's streams share, sound or with one of the planted bugs that are about several streams. The bugs' list is in
// planted-bugs.ts.
import { Outstanding, type OutstandingOptions } from '../../../producer/dist/outstanding.js';
import type { Failure } from '../../../producer/dist/put.js';
import { type Drives, Streams, type StreamsOptions } from '../../../producer/dist/streams.js';

/** The streams of a world's producer. */
export function streamsOf<Driver extends Drives>(
  name: string | undefined,
  options: StreamsOptions<Driver>,
): Streams<Driver> {
  if (name === 'wrong-stream') return new MisdirectingStreams(options);
  return name === 'busy-stream-forgotten' ? new ForgetfulStreams(options) : new Streams(options);
}

/** The bound that holds for a stream: one for all, if sound. */
export function boundsOf(name: string | undefined, options: Bounds): (streamName: string) => Outstanding {
  const bounds = new Map<string, Outstanding>();
  return (streamName) => {
    const key = name === 'bound-per-stream' ? streamName : '';
    const bound = bounds.get(key) ?? new Outstanding({ ...options, maxOutstandingBytes: Number.MAX_SAFE_INTEGER });
    bounds.set(key, bound);
    return bound;
  };
}

type Bounds = Pick<OutstandingOptions, 'maxOutstandingRecordCount'>;

class MisdirectingStreams<Driver extends Drives> extends Streams<Driver> {
  override driverOf(stream: string | undefined): Driver | Failure {
    const driver = super.driverOf(stream);
    return this.all()[0] ?? driver;
  }
}

class ForgetfulStreams<Driver extends Drives> extends Streams<Driver> {
  override driverOf(stream: string | undefined): Driver | Failure {
    const driver = super.driverOf(stream);
    if ('stream' in driver) return driver;
    for (const each of this.all()) Object.defineProperty(each, 'outstandingCount', { value: 0, writable: true });
    return super.driverOf(stream);
  }
}
