// How much of the CPU that this process may use is in use, percent, from the places where a container or a machine says so:
// ECS task metadata, cgroup v2, cgroup v1, /proc/stat, in this order (KCL WorkerMetricsSelector, EcsCpuWorkerMetric,
// Cgroupv1/2CpuWorkerMetric, LinuxCpuWorkerMetric). Each is an average since the last look.
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Clock } from '@shardline/common';

/** Looks again. Undefined: the first look, from which nothing follows yet. @throws anything when it can't be read any more */
export type CpuGauge = () => Promise<number | undefined>;

/** What the gauges read: the machine's, or a test's. */
export interface CpuSources {
  readonly clock: Clock;
  /** @throws when there is no such file */
  readonly readText: (path: string) => Promise<string>;
  /** @throws when it can't be had */
  readonly readJson: (url: string) => Promise<unknown>;
  readonly ecsMetadataUri: string | undefined;
  /** CPUs that the process may run on. */
  readonly cpuCount: number;
}

export function systemCpuSources(clock: Clock): CpuSources {
  return {
    clock,
    readText: (path) => readFile(path, 'utf8'),
    readJson: async (url) => (await fetch(url, { signal: AbortSignal.timeout(METADATA_TIMEOUT_MS) })).json(),
    ecsMetadataUri: process.env['ECS_CONTAINER_METADATA_URI_V4'],
    cpuCount: availableParallelism(),
  };
}

const METADATA_TIMEOUT_MS = 1_000;
const CGROUP = '/sys/fs/cgroup';

/** The first gauge that works here, after its first look; undefined where nothing says how busy the CPU is. */
export async function findCpuGauge(sources: CpuSources): Promise<CpuGauge | undefined> {
  for (const make of [ecsGauge, cgroup2Gauge, cgroup1Gauge, machineGauge]) {
    try {
      const gauge = await make(sources);
      if (gauge === undefined) continue;
      await gauge();
      return gauge;
    } catch {
      // Not such a place: the next one.
    }
  }
  return undefined;
}

/** A task's CPU limit is shared among its containers by their CPU shares. */
async function ecsGauge({ ecsMetadataUri, readJson }: CpuSources): Promise<CpuGauge | undefined> {
  if (ecsMetadataUri === undefined) return undefined;
  const stats = async (): Promise<Stats> => statsOf(await readJson(`${ecsMetadataUri}/stats`));
  const { onlineCpus } = await stats();
  const task = (await readJson(`${ecsMetadataUri}/task`)) as EcsTask;
  const { DockerId } = (await readJson(ecsMetadataUri)) as { DockerId?: string };
  const sharesOf = ({ Limits }: EcsContainer): number => Limits?.CPU ?? DEFAULT_SHARES;
  const containers = task.Containers ?? [];
  const own = containers.find((container) => container.DockerId === DockerId);
  const all = containers.reduce((sum, container) => sum + sharesOf(container), 0);
  const limit = (task.Limits?.CPU ?? onlineCpus) * (own === undefined || all === 0 ? 1 : sharesOf(own) / all);
  let last: Stats | undefined;
  return async () => {
    const now = await stats();
    const before = last;
    last = now;
    if (before === undefined || now.system <= before.system) return undefined;
    const cores = ((now.used - before.used) / (now.system - before.system)) * onlineCpus;
    return percentOf(cores / limit);
  };
}

const DEFAULT_SHARES = 2;

interface EcsContainer {
  readonly DockerId?: string;
  readonly Limits?: { readonly CPU?: number };
}
interface EcsTask {
  readonly Limits?: { readonly CPU?: number };
  readonly Containers?: readonly EcsContainer[];
}
interface Stats {
  readonly used: number;
  readonly system: number;
  readonly onlineCpus: number;
}

function statsOf(answer: unknown): Stats {
  const { cpu_stats: cpu } = answer as {
    cpu_stats?: { cpu_usage?: { total_usage?: number }; system_cpu_usage?: number; online_cpus?: number };
  };
  const stats = { used: cpu?.cpu_usage?.total_usage, system: cpu?.system_cpu_usage, onlineCpus: cpu?.online_cpus };
  return { used: number(stats.used), system: number(stats.system), onlineCpus: number(stats.onlineCpus) };
}

/** The root group has no `cpu.max`: that is a machine, not a container. */
async function cgroup2Gauge({ readText, cpuCount, clock }: CpuSources): Promise<CpuGauge> {
  const [quota, period] = (await readText(`${CGROUP}/cpu.max`)).trim().split(' ');
  const limit = quota === 'max' ? cpuCount : number(quota) / number(period);
  const usedMs = async (): Promise<number> =>
    number(/^usage_usec (\d+)$/m.exec(await readText(`${CGROUP}/cpu.stat`))?.[1]) / 1e3;
  return gaugeOf(usedMs, limit, clock);
}

async function cgroup1Gauge({ readText, cpuCount, clock }: CpuSources): Promise<CpuGauge> {
  const quota = number(await readText(`${CGROUP}/cpu/cpu.cfs_quota_us`));
  const period = number(await readText(`${CGROUP}/cpu/cpu.cfs_period_us`));
  const limit = quota < 0 ? cpuCount : quota / period;
  const usedMs = async (): Promise<number> => number(await readText(`${CGROUP}/cpuacct/cpuacct.usage`)) / 1e6;
  return gaugeOf(usedMs, limit, clock);
}

/** The whole machine: `cpu  user nice system idle iowait irq softirq steal …` in ticks since boot. */
async function machineGauge({ readText }: CpuSources): Promise<CpuGauge> {
  let last: { readonly busy: number; readonly all: number } | undefined;
  return async () => {
    const line = /^cpu +(.*)$/m.exec(await readText('/proc/stat'))?.[1];
    const ticks = (line ?? '').split(' ').slice(0, 8).map(number);
    const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0);
    const all = ticks.reduce((sum, tick) => sum + tick, 0);
    const before = last;
    last = { busy: all - idle, all };
    if (before === undefined || all <= before.all) return undefined;
    return percentOf((last.busy - before.busy) / (all - before.all));
  };
}

/** From a CPU time that only grows, against the time that has passed. */
function gaugeOf(usedMs: () => Promise<number>, limit: number, clock: Clock): CpuGauge {
  let last: { readonly usedMs: number; readonly at: number } | undefined;
  return async () => {
    const before = last;
    last = { usedMs: await usedMs(), at: clock.now() };
    if (before === undefined || last.at <= before.at) return undefined;
    return percentOf((last.usedMs - before.usedMs) / (last.at - before.at) / limit);
  };
}

function percentOf(share: number): number {
  return Math.min(100, Math.max(0, 100 * share));
}

/** @throws RangeError */
function number(text: string | number | undefined): number {
  const value = typeof text === 'string' ? Number(text.trim() || Number.NaN) : (text ?? Number.NaN);
  if (Number.isFinite(value)) return value;
  throw new RangeError(`expected a number, got ${text}`);
}
