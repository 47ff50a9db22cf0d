// The control plane built from its programs, for real: what it can do, and that starting it twice or over the remains of
// a crash works, and that stopping it leaves nothing.
import { afterEach, describe, expect, it } from 'vitest';
import { startBuilt, stopBuilt } from '../rig/cluster/built.ts';
import { isAlive, killAll, recordedPrograms } from '../rig/cluster/processes.ts';
import { rigDirectory } from '../rig/cluster/state.ts';
import { kubectl, named, ownRigs, quiet, start, startAndKill, traces } from './rig-trial.ts';

ownRigs();

describe('a control plane by itself', () => {
  afterEach(() => stopBuilt('alone', quiet));

  it('serves the API, signs accounts in, collects garbage and is gone after stop', async () => {
    const cluster = await start('alone', false);
    expect(cluster).toMatchObject({ provider: 'built', hasNode: false, exec: [], hostAddress: null });
    expect(await kubectl('alone', ['version'])).toMatch(/Server Version: v1\.\d+/);
    expect(await kubectl('alone', ['auth', 'can-i', 'delete', 'nodes'])).toBe('yes\n');
    expect(await kubectl('alone', ['create', 'token', 'default'])).toMatch(/^ey/);
    await kubectl('alone', ['create', 'job', 'job', '--image=none']);
    await expect.poll(() => kubectl('alone', ['get', 'pods', '-o', 'name'])).toContain('pod/job-');
    await kubectl('alone', ['delete', 'job', 'job', '--cascade=background']);
    await expect.poll(() => kubectl('alone', ['get', 'pods', '-o', 'name'])).toBe('');
    await cluster.stop();
    expect(await traces('alone')).toEqual([]);
  });

  it('is found up by a second start, whose stop leaves it up', async () => {
    await start('alone', false);
    const before = await recordedPrograms(rigDirectory('alone'));
    const second = await start('alone', false);
    await second.stop();
    expect(await recordedPrograms(rigDirectory('alone'))).toEqual(before);
    expect(await kubectl('alone', ['get', 'namespace', 'default', '-o', 'name'])).toBe('namespace/default\n');
  });

  it('is started once by two at the same time', async () => {
    const both = await Promise.all([startBuilt('alone', false, quiet), startBuilt('alone', false, quiet)]);
    expect(both.map((one) => one.started).sort()).toEqual([false, true]);
  });

  it('is made anew when one of its programs has died', async () => {
    await start('alone', false);
    const etcd = await named('alone', 'etcd');
    await killAll([etcd]);
    await start('alone', false);
    expect(await named('alone', 'etcd')).not.toEqual(etcd);
    expect(await kubectl('alone', ['get', 'namespace', 'default', '-o', 'name'])).toBe('namespace/default\n');
  });

  it('starts over what a killed starter left running', async () => {
    await startAndKill('alone', false, async () => (await recordedPrograms(rigDirectory('alone'))).length >= 2);
    const left = await recordedPrograms(rigDirectory('alone'));
    await start('alone', false);
    expect(await Promise.all(left.map(isAlive))).not.toContain(true);
    await stopBuilt('alone', quiet);
    expect(await traces('alone')).toEqual([]);
  });
});
