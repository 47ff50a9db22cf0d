// What GitOps tools make of objects: kstatus as Flux links it, Argo CD's health engine with the Lua that is shipped, and the
// expressions that are shipped for Flux in the API server's CEL. Each judges all objects at once.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import { ApiError } from '../../controller/transport.ts';
import { binary } from '../rig/binaries.ts';
import { run } from '../rig/command.ts';
import { waitFor } from '../wait.ts';
import type { World } from './controller-world.ts';

export interface Answer {
  status: string;
  message?: string;
}

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);

/** Builds them where they are missing: minutes, the first time. */
export async function getJudges(): Promise<void> {
  await Promise.all((['kstatus', 'argocd-health', 'kustomize'] as const).map((name) => binary(name, log)));
}

/** Gives a program all objects, a line each, and reads an answer a line back. */
async function ask(argv: readonly [string, ...string[]], objects: readonly object[]): Promise<Answer[]> {
  const input = objects.map((object) => `${JSON.stringify(object)}\n`).join('');
  const output = await run(argv, { input, timeoutMs: 60_000 });
  const answers = output.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Answer]));
  if (answers.length !== objects.length)
    throw new Error(`ask "${argv[0]}": ${objects.length} objects, ${answers.length} answers`);
  return answers;
}

export async function kstatus(objects: readonly object[]): Promise<Answer[]> {
  return await ask([await binary('kstatus', log)], objects);
}

/** With the ConfigMap that kustomize/overlays/argocd/health makes. */
export async function argocd(objects: readonly object[]): Promise<Answer[]> {
  const directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-argocd-'));
  try {
    const configMap = path.join(directory, 'argocd-cm.yaml');
    await writeFile(
      configMap,
      await run([await binary('kustomize', log), 'build', 'kustomize/overlays/argocd/health']),
    );
    return await ask([await binary('argocd-health', log), configMap], objects);
  } finally {
    await rm(directory, { recursive: true });
  }
}

interface Expressions {
  inProgress: string;
  failed: string;
  current: string;
}

async function shippedExpressions(): Promise<Expressions> {
  const text = await readFile('kustomize/overlays/flux/databases.yaml', 'utf8');
  const { spec } = parse(text) as { spec: { healthCheckExprs: Expressions[] } };
  const [expressions] = spec.healthCheckExprs;
  if (expressions === undefined) throw new Error('read kustomize/overlays/flux/databases.yaml: no healthCheckExprs');
  return expressions;
}

/** A kind without a schema that carries an object to be judged, and a policy that refuses it with the answer. */
const kind = { group: 'test.dbbackup.io', version: 'v1', plural: 'verdicts', singular: 'verdict', kind: 'Verdict' };
const verdicts = `/apis/${kind.group}/${kind.version}/${kind.plural}`;

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${kind.plural}.${kind.group}` },
  spec: {
    group: kind.group,
    scope: 'Cluster',
    names: { plural: kind.plural, singular: kind.singular, kind: kind.kind },
    versions: [
      {
        name: kind.version,
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
};

/** Flux gives an expression the object's fields as variables, and takes the first of the three that is true, in this order. */
function policy({ inProgress, failed, current }: Expressions): object {
  const expression = (text: string): string => text.replaceAll(/(?<![\w.'])(status|metadata)\./g, 'variables.$1.');
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: kind.plural },
    spec: {
      matchConstraints: {
        resourceRules: [
          { apiGroups: [kind.group], apiVersions: ['*'], operations: ['CREATE'], resources: [kind.plural] },
        ],
      },
      variables: [
        { name: 'metadata', expression: 'object.judged.metadata' },
        { name: 'status', expression: 'object.judged.status' },
        { name: 'inProgress', expression: expression(inProgress) },
        { name: 'failed', expression: expression(failed) },
        { name: 'current', expression: expression(current) },
      ],
      validations: [
        {
          expression: 'false',
          messageExpression: `variables.inProgress ? 'answer InProgress' : variables.failed ? 'answer Failed' :
            variables.current ? 'answer Current' : 'answer InProgress'`,
        },
      ],
    },
  };
}

const binding = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicyBinding',
  metadata: { name: kind.plural },
  spec: { policyName: kind.plural, validationActions: ['Deny'] },
};

/** With the expressions of kustomize/overlays/flux; Flux itself is not to be had as a library. */
export async function flux({ transport }: World, objects: readonly object[]): Promise<Answer[]> {
  const create = (path: string, body: object) => transport.call({ method: 'POST', path, body });
  await create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definition);
  const admission = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
  await create(admission, policy(await shippedExpressions()));
  await create(admission.replace(/ies$/, 'ybindings'), binding);
  const judge = (judged: object): Promise<Answer> =>
    waitFor('the API server gives the answer', async () => {
      const body = { apiVersion: `${kind.group}/${kind.version}`, kind: kind.kind, metadata: { name: 'one' }, judged };
      try {
        await transport.call({ method: 'POST', path: verdicts, query: { dryRun: 'All' }, body });
        return undefined;
      } catch (error) {
        // Kind and policy come into force a moment after they are created.
        if (!(error instanceof ApiError) || error.status === 404) return undefined;
        const status = /answer (\w+)/.exec(error.message)?.[1];
        if (status === undefined) throw error;
        return { status };
      }
    });
  const answers: Answer[] = [];
  for (const object of objects) answers.push(await judge(object));
  return answers;
}
