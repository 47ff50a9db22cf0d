// The node of the built cluster when something is killed: a program of it, the process that starts it, everything. With a
// node the rig needs root; test/integration/rig-node.test.ts tests what anyone else is told.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stopBuilt } from '../rig/cluster/built.ts';
import { BUSYBOX_IMAGE } from '../rig/cluster/busybox-image.ts';
import { killAll, recordedPrograms } from '../rig/cluster/processes.ts';
import { rigDirectory } from '../rig/cluster/state.ts';
import { kubectl, named, ownRigs, quiet, start, startAndKill, traces } from './rig-trial.ts';

ownRigs();

function crashTests(): void {
  beforeEach(() => stopBuilt('crash', quiet));
  afterEach(() => stopBuilt('crash', quiet));

  it.each(['containerd', 'namespaces'])('starts again after its %s was killed', async (program) => {
    await start('crash', true);
    await killAll([await named('crash', program)]);
    await start('crash', true);
    expect(await kubectl('crash', ['get', 'nodes', '--no-headers'])).toContain(' Ready ');
  });

  it.each([1, 6])('starts over what a starter left that was killed after %i programs', async (programs) => {
    await startAndKill('crash', true, async () => (await recordedPrograms(rigDirectory('crash'))).length >= programs);
    await start('crash', true);
    expect(await kubectl('crash', ['get', 'nodes', '--no-headers'])).toContain(' Ready ');
  });

  it('leaves nothing when it is stopped with pods running and a program dead', async () => {
    await start('crash', true);
    await kubectl('crash', ['run', 'pod', `--image=${BUSYBOX_IMAGE}`]);
    await kubectl('crash', ['wait', 'pod/pod', '--for=condition=Ready', '--timeout=60s']);
    await killAll([await named('crash', 'containerd')]);
    await stopBuilt('crash', quiet);
    expect(await traces('crash')).toEqual([]);
  });
}

describe('a node that crashes', () => {
  if (process.getuid?.() === 0) crashTests();
  else {
    it('leaves nothing where it could never be started', async () => {
      await stopBuilt('crash', quiet);
      expect(await traces('crash')).toEqual([]);
    });
  }
});
