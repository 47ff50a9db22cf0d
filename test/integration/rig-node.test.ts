// The node of the built cluster, for real: pods with everything the product's own use, Services, names, and the ways in
// and out. With a node the rig needs root; for anyone else the refusal is what is tested.
import { spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { binary } from '../rig/binaries.ts';
import { stopBuilt } from '../rig/cluster/built.ts';
import { BUSYBOX_IMAGE } from '../rig/cluster/busybox-image.ts';
import type { Cluster } from '../rig/cluster/cluster.ts';
import { firstProcess } from '../rig/cluster/namespaces.ts';
import { readState, rigsDirectory } from '../rig/cluster/state.ts';
import { run } from '../rig/command.ts';
import { kubectl, ownRigs, quiet, start, traces } from './rig-trial.ts';

ownRigs();

function nodeTests(): void {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await start('node', true);
  });
  afterAll(() => stopBuilt('node', quiet));

  const pod = (
    name: string,
    script: string,
    more: { labels?: object; volumes?: object[]; mounts?: object[] } = {},
  ) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: more.labels ?? {} },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      securityContext: {
        runAsUser: 1000,
        runAsNonRoot: true,
        fsGroup: 2000,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      volumes: [{ name: 'work', emptyDir: { sizeLimit: '10Mi' } }, ...(more.volumes ?? [])],
      containers: [
        {
          name: 'main',
          image: BUSYBOX_IMAGE,
          command: ['sh', '-c', script],
          securityContext: {
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
          },
          resources: { limits: { memory: '32Mi', cpu: '500m' } },
          volumeMounts: [{ name: 'work', mountPath: '/scratch' }, ...(more.mounts ?? [])],
        },
      ],
    },
  });
  const apply = (...items: object[]) =>
    kubectl('node', ['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const wait = (what: string, condition: string) =>
    kubectl('node', ['wait', what, `--for=${condition}`, '--timeout=60s']);
  /** Runs a pod to its end and hands back what it printed. */
  async function output(name: string, script: string, more?: Parameters<typeof pod>[2]): Promise<string> {
    await apply(pod(name, script, more));
    await wait(`pod/${name}`, 'jsonpath={.status.phase}=Succeeded');
    return kubectl('node', ['logs', name]);
  }

  it('runs a Job to its end', async () => {
    const template = { spec: { ...pod('x', 'echo -n done > /dev/termination-log').spec } };
    await apply({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'job' }, spec: { template } });
    await wait('job/job', 'condition=Complete');
    const message = '-o=jsonpath={.items[0].status.containerStatuses[0].state.terminated.message}';
    expect(await kubectl('node', ['get', 'pods', '-l', 'job-name=job', message])).toBe('done');
  });

  it('keeps users, groups, limits and a read-only root as the manifest says', async () => {
    const script =
      'id -u; id -G; stat -c %g /scratch; touch /x 2>&1; touch /scratch/x && echo written; grep CapEff /proc/self/status';
    const lines = (await output('walls', script)).trim().split('\n');
    expect(lines).toEqual([
      '1000',
      '0 2000',
      '2000',
      'touch: /x: Read-only file system',
      'written',
      'CapEff:\t0000000000000000',
    ]);
  });

  it('mounts Secrets and volumes of the host', async () => {
    await apply(
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'secret' }, stringData: { key: 'value' } },
      {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name: 'volume' },
        spec: {
          capacity: { storage: '1Gi' },
          accessModes: ['ReadWriteOnce'],
          storageClassName: 'static',
          hostPath: { path: path.join(rigsDirectory(), 'volume'), type: 'DirectoryOrCreate' },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: 'claim' },
        spec: {
          accessModes: ['ReadWriteOnce'],
          storageClassName: 'static',
          resources: { requests: { storage: '1Gi' } },
        },
      },
    );
    const printed = await output('volumes', 'cat /secret/key; ls -d /volume', {
      volumes: [
        { name: 'secret', secret: { secretName: 'secret', defaultMode: 0o440 } },
        { name: 'volume', persistentVolumeClaim: { claimName: 'claim' } },
      ],
      mounts: [
        { name: 'secret', mountPath: '/secret' },
        { name: 'volume', mountPath: '/volume' },
      ],
    });
    expect(printed).toBe('value/volume\n');
  });

  it('carries Services by name and address, from pods and from the host', async () => {
    await apply(
      pod('server', 'echo hello > /scratch/index.html; exec httpd -f -p 8080 -h /scratch', { labels: { app: 'web' } }),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
      },
    );
    await wait('pod/server', 'condition=Ready');
    expect(await output('client', 'until wget -qO- http://web.default.svc; do sleep 0.2; done')).toContain('hello');
    const text = (url: string) => fetch(url).then((response) => response.text());
    const service = await kubectl('node', ['get', 'service', 'web', '-o=jsonpath={.spec.clusterIP}']);
    const address = await kubectl('node', ['get', 'pod', 'server', '-o=jsonpath={.status.podIP}']);
    expect(await text(`http://${service}/`)).toBe('hello\n');
    expect(await text(`http://${address}:8080/`)).toBe('hello\n');
    expect(await kubectl('node', ['exec', 'server', '--', 'cat', '/scratch/index.html'])).toBe('hello\n');
  });

  it('forwards a port to a pod', async () => {
    await apply(pod('forwarded', 'echo hello > /scratch/index.html; exec httpd -f -p 8080 -h /scratch'));
    await wait('pod/forwarded', 'condition=Ready');
    const listens = 'until wget -qO- http://127.0.0.1:8080/ > /dev/null 2>&1; do sleep 0.2; done';
    await kubectl('node', ['exec', 'forwarded', '--', 'sh', '-c', listens]);
    const program = await binary('kubectl', quiet);
    const forward = spawn(program, ['--kubeconfig', cluster.kubeconfig, 'port-forward', 'pod/forwarded', ':8080']);
    try {
      const line = await new Promise<string>((resolve) => forward.stdout.once('data', (data) => resolve(`${data}`)));
      const port = /127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello\n');
    } finally {
      forward.kill();
    }
  });

  it('answers for a name that does not exist with just that', async () => {
    const asked = 'nslookup web.nowhere.svc.cluster.local; nslookup example.com; true';
    expect((await output('names', asked)).match(/NXDOMAIN/g)).toHaveLength(4);
  });

  it('lets pods reach a server of the host', async () => {
    const server = http.createServer((_, response) => response.end('from the host'));
    await new Promise<void>((resolve) => server.listen(0, cluster.hostAddress ?? '', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      expect(await output('outward', `wget -qO- http://${cluster.hostAddress}:${port}/`)).toBe('from the host');
    } finally {
      server.close();
    }
  });

  it('changes no setting of the machine', async () => {
    const names = ['vm/overcommit_memory', 'kernel/panic', 'kernel/panic_on_oops'];
    const first = (await firstProcess('node'))[0];
    for (const name of names) {
      const inside = await run(['nsenter', '-t', `${first?.pid}`, '-m', '-p', 'cat', `/proc/sys/${name}`]);
      expect(['1\n', '10\n']).toContain(inside);
    }
    await expect(access('/var/lib/kubelet/device-plugins/kubelet.sock')).rejects.toThrow('ENOENT');
  });

  it('works side by side with another, and each stops alone', async () => {
    const other = await start('other', true);
    try {
      expect((await readState('other'))?.hasNode).toBe(true);
      expect(other.hostAddress).not.toBe(cluster.hostAddress);
      await kubectl('other', ['run', 'pod', `--image=${BUSYBOX_IMAGE}`, '--restart=Never', '--command', '--', 'true']);
      await kubectl('other', ['wait', 'pod/pod', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s']);
    } finally {
      await other.stop();
    }
    expect(await traces('other')).toEqual([]);
    expect(await output('still', 'echo there')).toBe('there\n');
  });
}

describe('a node', () => {
  if (process.getuid?.() === 0) nodeTests();
  else {
    it('is refused without root, with a way out', async () => {
      await expect(start('node', true)).rejects.toThrow('run it with sudo, or use kind');
    });
  }
});
