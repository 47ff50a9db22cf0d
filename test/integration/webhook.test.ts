// Admission against a real API server: what the CRD refuses by itself, what the webhook adds, and what neither may stand in the way of.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backup, database } from '../webhook/objects.ts';
import {
  type AdmissionCluster,
  atAddress,
  eventually,
  fingerprint,
  isReady,
  type KubernetesObject,
  startAdmissionCluster,
  type WebhookProcess,
} from '../webhook/processes.ts';

let api: AdmissionCluster;
let rendered: KubernetesObject[];

beforeAll(async () => {
  api = await startAdmissionCluster('webhook');
  rendered = await api.render('kustomize/base');
  const withoutWebhook = rendered.filter(({ kind }) => !kind.endsWith('WebhookConfiguration'));
  const list = { apiVersion: 'v1', kind: 'List', items: withoutWebhook };
  expect(await api.apply(list)).toMatchObject({ ok: true });
  await api.kubectl(['wait', '--for=condition=Established', 'crd/databasebackups.dbbackup.io', '--timeout=30s']);
  await api.kubectl(['create', 'namespace', 'shop']);
});

afterAll(() => api?.stop());

const named = (name: string, spec: Parameters<typeof backup>[0] = {}, annotations?: Record<string, string>) =>
  backup(spec, annotations === undefined ? { name } : { name, annotations });
const s3 = backup().spec.storage.s3;
const both = { pvc: { claimName: 'x' }, s3 } as never;

/** What is wrong, the object, and what the answer must say: the field, then the fix. */
const onlyRulesKnow: [string, ReturnType<typeof backup>, string, string][] = [
  ['a bad cron', named('a', { schedule: '99 1 * * *' }), 'spec.schedule', 'use 0 to 59'],
  ['a zone that does not exist', named('a', { timeZone: 'Europe/Berlinn' }), 'spec.timeZone', 'Europe/Berlin'],
  [
    'a recipient with a typing error',
    named('a', { encryption: { age: { recipients: [`age1${'q'.repeat(58)}`] } } }),
    'spec.encryption.age.recipients[0]',
    'age-keygen',
  ],
];

const theApiServerKnows: [string, ReturnType<typeof backup>, string, string][] = [
  ['no storage', named('a', { storage: {} as never }), 'spec.storage', 'one of s3, gcs, azure, pvc'],
  ['two storages', named('a', { storage: both }), 'spec.storage', 'one of s3, gcs, azure, pvc'],
  [
    'no login',
    named('a', { storage: { s3: { ...s3, auth: {} } } as never }),
    'spec.storage.s3.auth',
    'one of secretRef',
  ],
  [
    'two logins',
    named('a', { storage: { s3: { ...s3, auth: { secretRef: { name: 's3' }, default: {} } } } as never }),
    'spec.storage.s3.auth',
    'one of secretRef, workloadIdentity, default',
  ],
  ['retention that keeps nothing', named('a', { retention: {} }), 'spec.retention', 'keepLast'],
  [
    'retention without a field that exists',
    named('a', { retention: { keepLastt: 3 } as never }),
    'spec.retention',
    'keep',
  ],
  ['no encryption decided', named('a', { encryption: {} }), 'spec.encryption', 'one of age, none'],
  [
    'a plain endpoint',
    named('a', { storage: { s3: { ...s3, endpoint: 'http://store:9000' } } as never }),
    'spec.storage.s3',
    'insecure: true',
  ],
  ['a name of 49 characters', named('a'.repeat(49)), 'metadata.name', 'choose a shorter name'],
  [
    'an engine nobody knows',
    named('a', { database: database({ engine: 'oracle' as never }) }),
    'spec.database.engine',
    'postgres',
  ],
  ['no database', named('a', { database: undefined as never }), 'spec.database', ''],
];

describe('without the webhook', () => {
  test.each(theApiServerKnows)('the CRD refuses %s', async (_what, object, field, fix) => {
    const { ok, text } = await api.apply(object);
    expect([ok, text]).toEqual([false, expect.stringContaining(field)]);
    expect(text).toContain(fix);
  });

  test('the cluster cannot be changed', async () => {
    const pinned = named('pinned', { database: database({ cluster: 'one' }) });
    expect(await api.apply(pinned)).toMatchObject({ ok: true });
    const { ok, text } = await api.apply(named('pinned', { database: database({ cluster: 'two' }) }));
    expect([ok, text]).toEqual([false, expect.stringContaining('spec.database.cluster is immutable')]);
    await api.kubectl(['delete', 'dbb', 'pinned', '-n', 'shop']);
  });
});

describe('with two webhooks', () => {
  let webhooks: [WebhookProcess, WebhookProcess];
  let configurations: KubernetesObject[];

  beforeAll(async () => {
    webhooks = await Promise.all([api.startWebhook(), api.startWebhook()]);
    expect(await Promise.all(webhooks.map(isReady))).toEqual([false, false]);
    const written = rendered.filter(({ kind }) => kind.endsWith('WebhookConfiguration'));
    configurations = written.map((configuration) => atAddress(configuration, webhooks[0].port));
    for (const configuration of configurations) expect(await api.apply(configuration)).toMatchObject({ ok: true });
    for (const webhook of webhooks)
      await eventually('the webhook to be ready', async () => (await isReady(webhook)) || undefined);
    await api.untilAsked('shop');
  });

  test.each([...onlyRulesKnow, ...theApiServerKnows])(
    '%s is refused with field and fix',
    async (_what, object, field, fix) => {
      const { ok, text } = await api.apply(object);
      expect([ok, text]).toEqual([false, expect.stringContaining(field)]);
      expect(text).toContain(fix);
    },
  );

  test('several errors are all listed, a line each', async () => {
    const wrong = named('wrong', { schedule: '99 1 * * *', timeZone: 'Mars/Base', storage: both, retention: {} });
    const { ok, text } = await api.apply(wrong);
    expect([ok, text.match(/^\* spec\.[a-zA-Z.]+/gm)]).toEqual([
      false,
      ['* spec.timeZone', '* spec.schedule', '* spec.storage', '* spec.retention'],
    ]);
  });

  test('tools that read the message get the same list and who refused', async () => {
    const raw = ['create', '--raw', '/apis/dbbackup.io/v1alpha1/namespaces/shop/databasebackups', '-f', '-'];
    const wrong = named('wrong', { schedule: '99 1 * * *', retention: {} });
    const { ok, text } = await api.try(raw, wrong);
    expect(ok).toBe(false);
    expect(text).toContain('spec.schedule: "99 1 * * *": minute "99" is out of range 0-59; use 0 to 59');
    expect(text).toContain('spec.retention: keeps nothing');
  });

  test('what is risky passes with a warning, said once', async () => {
    const { ok, text } = await api.apply(named('risky', { encryption: { none: {} } }));
    expect([ok, text.match(/Warning: .*/g)]).toEqual([
      true,
      ['Warning: spec.encryption.none: snapshots are stored unencrypted; set encryption.age.recipients'],
    ]);
  });

  test('the cluster is set at creation and stays when host changes or the field is left out', async () => {
    const cluster = async () =>
      ((await api.get('dbb', 'fixed', '-n', 'shop'))['spec'] as { database: { cluster: string } }).database.cluster;
    await api.apply(named('fixed'));
    expect(await cluster()).toBe('orders-db');
    await api.apply(named('fixed', { database: database({ host: 'new-db' }) }));
    expect(await cluster()).toBe('orders-db');
    await api.kubectl(['replace', '-f', '-'], named('fixed', { database: database({ host: 'newer-db' }) }));
    expect(await cluster()).toBe('orders-db');
    const { ok, text } = await api.apply(named('fixed', { database: database({ cluster: 'other' }) }));
    expect([ok, text]).toEqual([false, expect.stringContaining('spec.database.cluster: "other": is immutable')]);
  });

  test('applied server-side again nothing changes', async () => {
    const applied = async () => {
      expect(await api.apply(named('again'))).toMatchObject({ ok: true });
      return api.get('dbb', 'again', '-n', 'shop');
    };
    const first = await applied();
    const second = await applied();
    // The default of status is stored with the first update of an object, so its version moves once, and nothing else does.
    expect({ ...second, metadata: { ...second.metadata, resourceVersion: first.metadata.resourceVersion } }).toEqual(
      first,
    );
    expect(await applied()).toEqual(second);
    expect(await api.try(['diff', '--server-side', '-f', '-'], named('again'))).toEqual({ ok: true, text: '' });
  });

  test('a dry run is answered like the real thing', async () => {
    const dry = ['apply', '--server-side', '--dry-run=server', '-f', '-'];
    expect((await api.try(dry, named('dry'))).ok).toBe(true);
    expect((await api.try(dry, named('dry', { retention: {} }))).ok).toBe(false);
  });

  test('an object without a name of its own is admitted', async () => {
    const { metadata, ...rest } = named('x');
    const generated = { ...rest, metadata: { namespace: metadata.namespace, generateName: 'made-' } };
    expect(await api.try(['create', '-f', '-'], generated)).toMatchObject({ ok: true });
  });

  test('both serve one certificate, and its authority is in both configurations', async () => {
    const served = await Promise.all(webhooks.map(({ port }) => fingerprint(port)));
    expect(served[0]).toBe(served[1]);
    const secret = (await api.get('secret', 'dbbackup-webhook-cert', '-n', 'dbbackup-system')) as KubernetesObject & {
      data: Record<string, string>;
    };
    for (const { kind, metadata } of configurations)
      expect(bundleOf(await api.get(kind, metadata.name))).toBe(secret.data['ca.crt']);
  });

  test('F22 the configurations applied again change nothing, and a bundle that is taken away comes back', async () => {
    for (const configuration of configurations) {
      const where = [configuration.kind, configuration.metadata.name] as const;
      const before = await api.get(...where);
      expect(await api.apply(configuration)).toMatchObject({ ok: true });
      expect(await api.get(...where)).toEqual(before);
      const removal = JSON.stringify([{ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' }]);
      await api.kubectl(['patch', ...where, '--type=json', '-p', removal]);
      await eventually('the bundle', async () => bundleOf(await api.get(...where)) === bundleOf(before) || undefined);
    }
  });

  test('F22 without its Secret the certificate is made anew and admission goes on', async () => {
    const before = await fingerprint(webhooks[0].port);
    await api.kubectl(['delete', 'secret', 'dbbackup-webhook-cert', '-n', 'dbbackup-system']);
    await eventually('another certificate', async () => {
      expect((await api.apply(named('meanwhile', { startingDeadlineSeconds: 60 }))).ok).toBe(true);
      const served = await Promise.all(webhooks.map(({ port }) => fingerprint(port)));
      return (served[0] !== before && served[0] === served[1]) || undefined;
    });
    expect(await api.apply(named('afterwards'))).toMatchObject({ ok: true });
  });

  test('it may do nothing but keep its certificate', async () => {
    const as = '--as=system:serviceaccount:dbbackup-system:dbbackup-webhook';
    const may = async (...what: string[]) => (await api.try(['auth', 'can-i', as, ...what])).text.trim();
    expect(await may('get', 'secret/dbbackup-webhook-cert', '-n', 'dbbackup-system')).toBe('yes');
    expect(await may('get', 'secret/another', '-n', 'dbbackup-system')).toBe('no');
    expect(await may('list', 'secrets', '-n', 'dbbackup-system')).toBe('no');
    expect(await may('create', 'secrets', '-n', 'shop')).toBe('no');
    expect(await may('patch', 'validatingwebhookconfigurations/another')).toMatch(/no$/);
  });

  test('who sets a trigger is recorded, whatever the object says, and stays until the next', async () => {
    await api.apply(named('asked'));
    const where = ['dbb', 'asked', '-n', 'shop'];
    const annotate = (user: string, ...values: string[]) =>
      api.kubectl(['annotate', ...where, '--overwrite', `--as=${user}`, '--as-group=system:masters', ...values]);
    await annotate('ada', 'dbbackup.io/trigger=one', 'dbbackup.io/triggered-by=eve');
    expect(await triggeredBy('asked')).toBe('ada');
    await annotate('bob', 'team=shop');
    expect(await triggeredBy('asked')).toBe('ada');
    await annotate('bob', 'dbbackup.io/trigger=two');
    expect(await triggeredBy('asked')).toBe('bob');
    // As Argo CD and Flux do it: the name is not theirs to take away.
    expect(await api.apply(named('asked', {}, { 'dbbackup.io/trigger': 'three' }))).toMatchObject({ ok: true });
    const byApply = await triggeredBy('asked');
    expect(byApply).not.toBe('bob');
    expect(await api.apply(named('asked', {}, { 'dbbackup.io/trigger': 'three' }))).toMatchObject({ ok: true });
    expect(await triggeredBy('asked')).toBe(byApply);
    await annotate('bob', 'dbbackup.io/trigger-');
    expect(await triggeredBy('asked')).toBeUndefined();
  });

  test('who creates an object with a trigger is recorded', async () => {
    expect(await api.apply(named('born', {}, { 'dbbackup.io/trigger': 'one' }))).toMatchObject({ ok: true });
    expect(await triggeredBy('born')).toMatch(/./);
  });

  describe('away', () => {
    const where = ['dbb', 'stored', '-n', 'shop'];
    const clientSide = ['apply', '-f', '-'];

    beforeAll(async () => {
      await api.apply(named('stored'));
      await api.kubectl(clientSide, named('client-side'));
      await Promise.all(webhooks.map(({ child }) => child.stop()));
    });

    test('F22 a new object and a changed spec are refused, with a message that names what is missing', async () => {
      for (const object of [named('new'), named('stored', { suspend: true })]) {
        const { ok, text } = await api.apply(object);
        expect(ok).toBe(false);
        expect(text).toMatch(/failed calling webhook "mutate\.dbbackup\.io": .*\/mutate\?timeout=30s": .*refused/);
      }
      const { ok, text } = await api.try(clientSide, named('client-side', { suspend: true }));
      expect([ok, text]).toEqual([false, expect.stringContaining('failed calling webhook "mutate.dbbackup.io"')]);
    });

    test('F22, attack 21: an unchanged object is applied again, server-side and client-side', async () => {
      expect(await api.apply(named('stored'))).toMatchObject({ ok: true });
      expect(await api.try(clientSide, named('client-side'))).toMatchObject({
        ok: true,
        text: expect.stringContaining('client-side unchanged'),
      });
    });

    test('F22 status goes on', async () => {
      const status = JSON.stringify({ status: { observedGeneration: 1, phase: 'Succeeded' } });
      await api.kubectl(['patch', ...where, '--subresource=status', '--type=merge', '-p', status]);
      expect((await api.get(...where))['status']).toMatchObject({ phase: 'Succeeded' });
    });

    test('F22, attack 21: labels and annotations change, a trigger among them, by every way to change them', async () => {
      await api.kubectl(['label', ...where, 'team=shop']);
      await api.kubectl(['annotate', ...where, 'dbbackup.io/trigger=now']);
      expect(await triggeredBy('stored')).toBeUndefined();
      expect(await api.apply(named('stored', {}, { note: 'x' }))).toMatchObject({ ok: true });
      expect(await api.try(clientSide, named('client-side', {}, { note: 'x' }))).toMatchObject({ ok: true });
    });

    test('F22, attack 21: deletion works, that of an object with a finalizer too', async () => {
      await api.kubectl(['delete', ...where]);
      const held = ['dbb', 'client-side', '-n', 'shop'];
      const finalizers = (list: string[]) => JSON.stringify({ metadata: { finalizers: list } });
      await api.kubectl(['patch', ...held, '--type=merge', '-p', finalizers(['dbbackup.io/test'])]);
      await api.kubectl(['delete', ...held, '--wait=false']);
      await api.kubectl(['patch', ...held, '--type=merge', '-p', finalizers([])]);
      expect(await api.try(['get', ...held])).toMatchObject({ ok: false, text: expect.stringContaining('not found') });
    });
  });

  test('the processes stopped in good order', () => {
    for (const { child } of webhooks) expect(child.output()).toMatch(/"msg":"stopped"}$/);
  });
});

async function triggeredBy(name: string): Promise<unknown> {
  const { metadata } = await api.get('dbb', name, '-n', 'shop');
  return metadata.annotations?.['dbbackup.io/triggered-by'];
}

function bundleOf(configuration: KubernetesObject): string | undefined {
  return (configuration['webhooks'] as { clientConfig: { caBundle?: string } }[])[0]?.clientConfig.caBundle;
}
