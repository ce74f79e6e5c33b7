import { systemClock } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { type CpuSources, findCpuGauge, systemCpuSources } from './cpu.ts';

/** A machine made of texts; what is undefined is not there. */
class Machine implements CpuSources {
  now = 0;
  files: Record<string, string | undefined> = {};
  json: Record<string, unknown> = {};
  readonly clock: CpuSources['clock'] = { ...systemClock, now: () => this.now };
  readonly cpuCount: number = 4;
  ecsMetadataUri: string | undefined = undefined;

  readonly readText = async (path: string): Promise<string> => {
    const text = this.files[path];
    if (text === undefined) throw new Error(`ENOENT: ${path}`);
    return text;
  };
  readonly readJson = async (url: string): Promise<unknown> => {
    if (!(url in this.json)) throw new Error(`404: ${url}`);
    return this.json[url];
  };
}

const CGROUP2 = { max: '/sys/fs/cgroup/cpu.max', stat: '/sys/fs/cgroup/cpu.stat' };

describe('findCpuGauge', () => {
  test('cgroup v2: the time used against the quota', async () => {
    const machine = new Machine();
    machine.files = { [CGROUP2.max]: '50000 100000\n', [CGROUP2.stat]: 'usage_usec 1000000\nuser_usec 5\n' };
    const gauge = await findCpuGauge(machine);
    machine.now = 1000;
    machine.files[CGROUP2.stat] = 'usage_usec 1125000\nuser_usec 5\n';
    // An eighth of a second of CPU in a second, where half a CPU is allotted.
    expect(await gauge?.()).toBe(25);
  });

  test('cgroup v2 without a quota: against all CPUs', async () => {
    const machine = new Machine();
    machine.files = { [CGROUP2.max]: 'max 100000\n', [CGROUP2.stat]: 'usage_usec 0\n' };
    const gauge = await findCpuGauge(machine);
    machine.now = 1000;
    machine.files[CGROUP2.stat] = 'usage_usec 2000000\n';
    expect(await gauge?.()).toBe(50);
  });

  test('cgroup v1: nanoseconds against the quota, or against all CPUs where it is -1', async () => {
    const machine = new Machine();
    const usage = '/sys/fs/cgroup/cpuacct/cpuacct.usage';
    machine.files = {
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '200000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      [usage]: '0\n',
    };
    const gauge = await findCpuGauge(machine);
    machine.now = 500;
    machine.files[usage] = '500000000\n';
    expect(await gauge?.()).toBe(50);
    machine.files['/sys/fs/cgroup/cpu/cpu.cfs_quota_us'] = '-1\n';
    const unlimited = await findCpuGauge(machine);
    machine.now = 1000;
    machine.files[usage] = '1500000000\n';
    expect(await unlimited?.()).toBe(50);
  });

  test('/proc/stat: what is neither idle nor waiting, of all ticks since the last look', async () => {
    const machine = new Machine();
    machine.files = { '/proc/stat': 'cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 1 1 1\n' };
    const gauge = await findCpuGauge(machine);
    machine.files = { '/proc/stat': 'cpu  130 0 110 750 110 0 0 0 0 0\n' };
    expect(await gauge?.()).toBe(40);
  });

  test("ECS: the container's share of the task's limit", async () => {
    const machine = new Machine();
    const uri = 'http://169.254.170.2/v4/x';
    machine.ecsMetadataUri = uri;
    const stats = (used: number, system: number) => ({
      cpu_stats: { cpu_usage: { total_usage: used }, system_cpu_usage: system, online_cpus: 4 },
    });
    machine.json = {
      [uri]: { DockerId: 'me' },
      [`${uri}/task`]: {
        Limits: { CPU: 2 },
        Containers: [
          { DockerId: 'me', Limits: { CPU: 256 } },
          { DockerId: 'sidecar', Limits: { CPU: 256 } },
        ],
      },
      [`${uri}/stats`]: stats(0, 0),
    };
    const gauge = await findCpuGauge(machine);
    // An eighth of the machine's 4 CPUs is half a CPU; this container may have one.
    machine.json[`${uri}/stats`] = stats(50, 400);
    expect(await gauge?.()).toBe(50);
  });

  test('where nothing says it, there is no gauge', async () => {
    expect(await findCpuGauge(new Machine())).toBeUndefined();
    const broken = new Machine();
    broken.files = { [CGROUP2.max]: 'what\n', '/proc/stat': 'intr 1 2 3\n' };
    expect(await findCpuGauge(broken)).toBeUndefined();
  });

  test('more than all counts as all, and no time passed says nothing', async () => {
    const machine = new Machine();
    machine.files = { [CGROUP2.max]: '100000 100000\n', [CGROUP2.stat]: 'usage_usec 0\n' };
    const gauge = await findCpuGauge(machine);
    expect(await gauge?.()).toBeUndefined();
    machine.now = 10;
    machine.files[CGROUP2.stat] = 'usage_usec 99000000\n';
    expect(await gauge?.()).toBe(100);
  });

  test('what this machine has, if anything, reads between 0 and 100', async () => {
    const gauge = await findCpuGauge(systemCpuSources(systemClock));
    expect(process.platform !== 'linux' || gauge !== undefined).toBe(true);
    const percent = (await gauge?.()) ?? 0;
    expect(percent).toBeGreaterThanOrEqual(0);
    expect(percent).toBeLessThanOrEqual(100);
  });
});
