// Rules on how the pod runs: quantities, and labels and annotations that are not the user's to set.
import { error, type Finding, type Rule, repeats } from './finding.ts';

const units: Record<string, number> = {
  m: 1e-3,
  '': 1,
  k: 1e3,
  Ki: 1024,
  M: 1e6,
  Mi: 1_048_576,
  G: 1e9,
  Gi: 1_073_741_824,
};
/** Below this a dump tool cannot start. */
const leastMemory = 64 * 1_048_576;

/** What the dump container gets where nothing is given. */
export const defaultResources = { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '2Gi' } } as const;

/** The number that a quantity means; NaN when it is none. */
export function quantity(value: string | number): number {
  const match = /^(\d{1,12}(?:\.\d{1,3})?)(m|k|Ki|M|Mi|G|Gi)?$/.exec(String(value));
  return match === null ? Number.NaN : Number(match[1]) * (units[match[2] ?? ''] ?? Number.NaN);
}

const resources: Rule = ({ spec }) => {
  const findings: Finding[] = [];
  const given = spec.job?.resources;
  for (const kind of ['requests', 'limits'] as const)
    for (const [name, value] of Object.entries(given?.[kind] ?? {})) {
      const field = `spec.job.resources.${kind}.${name}`;
      const amount = quantity(value);
      if (!(amount > 0))
        findings.push(
          error(field, value, 'is not an amount above 0', `write for example ${name === 'cpu' ? '500m' : '256Mi'}`),
        );
      else if (name === 'memory' && amount < leastMemory)
        findings.push(error(field, value, 'is less than 64Mi', 'write 64Mi or more'));
    }
  for (const name of ['cpu', 'memory'] as const) {
    if (given?.requests?.[name] === undefined && given?.limits?.[name] === undefined) continue;
    const request = given.requests?.[name] ?? defaultResources.requests[name];
    const limit = given.limits?.[name] ?? (name === 'memory' ? defaultResources.limits.memory : undefined);
    // A limit of nothing is named above.
    if (limit !== undefined && quantity(limit) > 0 && quantity(limit) < quantity(request))
      findings.push(
        error(
          `spec.job.resources.limits.${name}`,
          limit,
          `is less than what is requested, ${request}`,
          'raise the limit or lower the request',
        ),
      );
  }
  return findings;
};

const reservedPrefixes = [
  ...['dbbackup.io/', 'batch.kubernetes.io/', 'kubernetes.io/', 'k8s.io/'],
  // Would take the dump out of its confinement.
  'container.apparmor.security.beta.kubernetes.io/',
  // Would give the dump the identity that is meant for the store.
  'azure.workload.identity/',
];
const reservedNames = [
  'app.kubernetes.io/managed-by',
  'controller-uid',
  'job-name',
  'sidecar.istio.io/inject',
  'linkerd.io/inject',
  'eks.amazonaws.com/skip-containers',
];

function isReserved(key: string): boolean {
  return reservedNames.includes(key) || reservedPrefixes.some((prefix) => key.startsWith(prefix));
}

/** A key as Kubernetes takes it: an optional DNS prefix, a slash and a name. */
const qualified =
  /^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const isKey = (key: string): boolean => key.indexOf('/') <= 253 && qualified.test(key);
const labelValue = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/;

const keys: Rule = ({ spec }) => {
  const findings: Finding[] = [];
  for (const kind of ['podLabels', 'podAnnotations', 'nodeSelector'] as const)
    for (const [key, value] of Object.entries(spec.job?.[kind] ?? {})) {
      const field = `spec.job.${kind}`;
      if (!isKey(key))
        findings.push(
          error(field, key, 'is not a key that Kubernetes takes', 'use letters, digits, - _ . and at most one /'),
        );
      else if (kind !== 'nodeSelector' && isReserved(key))
        findings.push(error(field, key, 'is reserved', 'use a prefix of your own'));
      else if (kind !== 'podAnnotations' && !labelValue.test(value))
        findings.push(
          error(
            `${field}.${key}`,
            value,
            'is not a label value',
            'use letters, digits, - _ . and at most 63 characters',
          ),
        );
    }
  return findings;
};

const tolerations: Rule = ({ spec }) =>
  (spec.job?.tolerations ?? []).flatMap(({ operator, value, key, effect, tolerationSeconds }, index) => {
    const field = `spec.job.tolerations[${index}]`;
    const findings: Finding[] = [];
    if (!isKey(key))
      findings.push(error(`${field}.key`, key, 'is not a key that Kubernetes takes', 'write the key of the taint'));
    if (operator === 'Exists' && value !== undefined && value !== '')
      findings.push(
        error(`${field}.value`, value, 'is not allowed with operator Exists', 'remove value, or use Equal'),
      );
    // Kubernetes would refuse the Job.
    if (tolerationSeconds !== undefined && effect !== 'NoExecute')
      findings.push(
        error(
          `${field}.tolerationSeconds`,
          tolerationSeconds,
          'is only allowed with effect NoExecute',
          'remove it, or set effect: NoExecute',
        ),
      );
    return findings;
  });

/** The list is a map by name to the API server. */
const pullSecrets: Rule = ({ spec }) => {
  const names = (spec.job?.imagePullSecrets ?? []).map(({ name }) => name);
  const fix = 'remove one of the two';
  return [...repeats(names)].map((index) =>
    error(`spec.job.imagePullSecrets[${index}]`, names[index], 'is there twice', fix),
  );
};

export const jobRules: readonly Rule[] = [resources, keys, tolerations, pullSecrets];
