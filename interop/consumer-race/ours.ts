// Our consumer as a contender, in a process of its own: the built package, as users have it, with its defaults. Endpoints and credentials
// come in the environment.
import { Consumer } from '@shardline/consumer';
import { Measurement } from './measurement.ts';
import type { Settings } from './settings.ts';

/** The floor of both, and the KCL's setting here. */
const IDLE_MS = 200;

const settings = JSON.parse(process.env['SETTINGS'] ?? '{}') as Settings;
const { application, mode } = settings;
const measurement = new Measurement(settings);
const consumer = new Consumer({ application, stream: 'race', retrievalMode: mode, idleTimeBetweenReadsMs: IDLE_MS });

process.stdin.resume().on('end', () => process.exit(0));
await consumer.run(({ shardId, records }) => measurement.handled(shardId, records));
