// Every fixture through all that judges manifests: a real API server with the webhook, the same with the webhook away, and offline
// validation as a process. Each says of itself who refuses it, and they must agree.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, ApiServer } from '../fixtures/api-server.ts';
import { type Fixture, fixtures, folder, layers } from '../fixtures/fixtures.ts';
import { isOffline } from '../fixtures/table.ts';
import {
  type AdmissionCluster,
  atAddress,
  eventually,
  isReady,
  type KubernetesObject,
  startAdmissionCluster,
} from '../webhook/processes.ts';

const named = (all: Fixture[]): [string, Fixture][] => all.map((fixture) => [fixture.name, fixture]);
const invalid = named(fixtures('invalid'));
const valid = named(fixtures('valid'));
/** One that nothing but the webhook refuses. */
const [, only] = invalid.find(([, { layers, old }]) => old === undefined && layers.join() === 'webhook') as [
  string,
  Fixture,
];
const isUpdate = ([, { old }]: [string, Fixture]): boolean => old !== undefined;

let cluster: AdmissionCluster;
let api: ApiServer;

beforeAll(async () => {
  cluster = await startAdmissionCluster('fixtures');
  const rendered = await cluster.render('kustomize/base');
  const isConfiguration = ({ kind }: { kind: string }): boolean => kind.endsWith('WebhookConfiguration');
  const items = rendered.filter((object) => !isConfiguration(object));
  expect(await cluster.apply({ apiVersion: 'v1', kind: 'List', items })).toMatchObject({ ok: true });
  await cluster.kubectl(['wait', '--for=condition=Established', 'crd/databasebackups.dbbackup.io', '--timeout=30s']);
  for (const name of ['invalid', 'client-side', 'server-side', 'update'])
    await cluster.kubectl(['create', 'namespace', name]);
  const webhook = await cluster.startWebhook();
  for (const configuration of rendered.filter(isConfiguration))
    expect(await cluster.apply(atAddress(configuration, webhook.port))).toMatchObject({ ok: true });
  await eventually('the webhook to be ready', async () => (await isReady(webhook)) || undefined);
  api = new ApiServer(cluster.cluster.kubeconfig, 'invalid');
  await cluster.untilAsked('invalid');
});

afterAll(() => cluster?.stop());

/** A rule of a list names the list, and one of the whole object says the field in its words. */
const isNamed = (field: string, { fields, message }: Answer): boolean =>
  fields.some((one) => field.startsWith(one)) || message.includes(field);

const secrets = /1GFPYYSJ/i;

describe('with the webhook', () => {
  test.each(invalid)('%s is refused, naming the fields', async (_name, fixture) => {
    if (fixture.old !== undefined) expect(await api.store(fixture.old)).toMatchObject({ isRefused: false });
    const strict = await api.ask(fixture, 'Strict');
    expect(strict.isRefused, strict.message).toBe(true);
    const lenient = await api.ask(fixture, 'Ignore');
    for (const field of fixture.expect)
      expect(strict.message + lenient.message).toContain(field.replace(/^(metadata\.labels)\[.*/, '$1'));
    expect(strict.message + lenient.message).not.toMatch(/canary/);
    expect(strict.message + lenient.message).not.toMatch(secrets);
    if (!fixture.layers.includes('webhook')) return;
    expect(lenient.layers).toEqual(['webhook']);
    if (!fixture.layers.includes('strict')) expect([...lenient.fields].sort()).toEqual([...fixture.expect].sort());
  });

  const topics = readdirSync(folder('valid')).filter((topic) => topic !== 'update');
  const files = topics.flatMap((topic) => ['-f', join(folder('valid'), topic)]);

  test.each([
    ['client-side', []],
    ['server-side', ['--server-side']],
  ] as [string, string[]][])('all that is right is stored, and %s apply changes nothing again', async (way, flags) => {
    const apply = ['apply', '-n', way, ...flags, ...files];
    const stored = async (): Promise<KubernetesObject[]> => {
      const list = JSON.parse(await cluster.kubectl(['get', 'dbb', '-n', way, '--show-managed-fields', '-o', 'json']));
      return list.items;
    };
    const content = (objects: KubernetesObject[]): object[] =>
      objects.map((object) => ({ ...object, metadata: { ...object.metadata, resourceVersion: '' } }));
    await cluster.kubectl(apply);
    const first = await stored();
    expect(first).toHaveLength(valid.filter((one) => !isUpdate(one)).length);
    await cluster.kubectl(apply);
    const second = await stored();
    expect(content(second)).toEqual(content(first));
    // The API server writes an object that was made by server-side apply once more, as it is; from then on not even that.
    await cluster.kubectl(apply);
    expect(await stored()).toEqual(second);
  });

  test.each(valid.filter(isUpdate))(
    '%s is stored, and applied again changes nothing',
    async (_name, { old = {}, next }) => {
      const updates = new ApiServer(cluster.cluster.kubeconfig, 'update');
      expect(await updates.apply(old)).toMatchObject({ isRefused: false });
      const first = await updates.apply(next);
      expect(first).toMatchObject({ isRefused: false });
      expect((await updates.apply(next)).resourceVersion).toBe(first.resourceVersion);
    },
  );
});

describe('with the webhook removed', () => {
  beforeAll(async () => {
    await cluster.kubectl(['delete', 'mutatingwebhookconfiguration,validatingwebhookconfiguration', '--all']);
    // It goes on asking for a moment.
    await eventually('the API server to forget the webhook', async () =>
      (await api.ask(only, 'Ignore')).isRefused ? undefined : true,
    );
  });

  test.each(invalid)('%s is refused by the layers that it says, and by no other', async (_name, fixture) => {
    if (fixture.old !== undefined) expect(await api.store(fixture.old)).toMatchObject({ isRefused: false });
    const strict = await api.ask(fixture, 'Strict');
    const lenient = await api.ask(fixture, 'Ignore');
    const found = new Set([...strict.layers, ...lenient.layers]);
    expect(layers.filter((layer) => found.has(layer))).toEqual(fixture.layers.filter((layer) => layer !== 'webhook'));
    expect(strict.message + lenient.message).not.toMatch(secrets);
    if (lenient.isRefused) expect(fixture.expect.some((field) => isNamed(field, lenient))).toBe(true);
  });

  test.each(valid.filter((one) => !isUpdate(one)))('%s is accepted', async (_name, fixture) => {
    expect(await api.ask(fixture, 'Strict')).toMatchObject({ isRefused: false });
  });
});

describe('offline', () => {
  const errors = new Map<string, string[]>();

  beforeAll(async () => {
    const args = ['plugin/main.ts', 'validate', '-f', folder('invalid'), '-f', folder('valid'), '-o', 'json'];
    const plugin = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const { findings } = (await json(plugin.stdout)) as {
      findings: { file: string; field: string; severity: string; message: string }[];
    };
    for (const { file, field, severity, message } of findings)
      if (severity === 'error' && !message.includes('is there already'))
        errors.set(file, [...(errors.get(file) ?? []), field]);
  });

  test.each(invalid)('%s is refused on the same fields, or only the cluster can know', (name, fixture) => {
    const found = [...new Set(errors.get(join(folder('invalid'), `${name}.yaml`)))].sort();
    expect(found).toEqual(isOffline(fixture) ? [...fixture.expect].sort() : []);
    if (!isOffline(fixture)) expect(fixture.old).toBeDefined();
  });

  test.each(valid)('%s is accepted', (name) => {
    expect(errors.get(join(folder('valid'), `${name}.yaml`))).toBeUndefined();
  });
});
