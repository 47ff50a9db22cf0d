// The webhook's few calls to Kubernetes: its own Secret, its own two configurations.
import {
  AdmissionregistrationV1Api,
  ApiException,
  type Configuration as ClientConfiguration,
  CoreV1Api,
  createConfiguration,
  type KubeConfig,
  PatchStrategy,
  ServerConfiguration,
  setHeaderOptions,
  type V1Secret,
} from '@kubernetes/client-node';
import type { ConfigurationKind, Configurations } from './cabundle.ts';
import type { Certificate } from './certificate.ts';
import type { CertificateStore } from './secret.ts';

/** The client waits for ever by itself; these are single small objects. */
const callLimitMilliseconds = 10_000;

/** How the API server answered instead of doing it. */
const isStatus = (error: unknown, code: number): boolean => error instanceof ApiException && error.code === code;

async function unless<T, U>(code: number, instead: U, call: () => Promise<T>): Promise<T | U> {
  try {
    return await call();
  } catch (error) {
    if (isStatus(error, code)) return instead;
    // The client's own message holds the whole answer, headers included.
    if (error instanceof ApiException) throw new Error(`call the API server: ${error.code}: ${reason(error.body)}`);
    throw error;
  }
}

function reason(body: unknown): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return /"message":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? text.slice(0, 300);
}

export function clientConfiguration(config: KubeConfig): ClientConfiguration {
  const server = config.getCurrentCluster()?.server;
  if (server === undefined) throw new Error('find the API server: no current cluster: run in a pod or set KUBECONFIG');
  return createConfiguration({
    baseServer: new ServerConfiguration(server, {}),
    authMethods: { default: config },
    promiseMiddleware: [
      {
        pre: async (context) => {
          context.setSignal(AbortSignal.timeout(callLimitMilliseconds));
          return context;
        },
        post: async (context) => context,
      },
    ],
  });
}

export function certificateStore(client: ClientConfiguration, namespace: string, name: string): CertificateStore {
  const core = new CoreV1Api(client);
  const secret = ({ cert, key, authorities }: Certificate, resourceVersion?: string): V1Secret => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      labels: { 'app.kubernetes.io/name': 'dbbackup-webhook', 'app.kubernetes.io/managed-by': 'dbbackup-webhook' },
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': cert, 'tls.key': key, 'ca.crt': authorities },
  });
  return {
    read: async () => {
      const found = await unless(404, undefined, () => core.readNamespacedSecret({ namespace, name }));
      if (found === undefined) return undefined;
      const text = (key: string): string => Buffer.from(found.data?.[key] ?? '', 'base64').toString();
      return {
        certificate: { cert: text('tls.crt'), key: text('tls.key'), authorities: text('ca.crt') },
        resourceVersion: found.metadata?.resourceVersion ?? '',
      };
    },
    create: async (certificate) =>
      (await unless(409, false, () => core.createNamespacedSecret({ namespace, body: secret(certificate) }))) !== false,
    replace: async (certificate, resourceVersion) => {
      const body = secret(certificate, resourceVersion);
      return (await unless(409, false, () => core.replaceNamespacedSecret({ namespace, name, body }))) !== false;
    },
  };
}

export function webhookConfigurations(client: ClientConfiguration, name: string): Configurations {
  const api = new AdmissionregistrationV1Api(client);
  const options = setHeaderOptions('Content-Type', PatchStrategy.StrategicMergePatch);
  const read = (kind: ConfigurationKind) =>
    kind === 'MutatingWebhookConfiguration'
      ? api.readMutatingWebhookConfiguration({ name })
      : api.readValidatingWebhookConfiguration({ name });
  return {
    read: async (kind) => {
      const found = await unless(404, undefined, () => read(kind));
      if (found === undefined) return undefined;
      const decoded = (base64: string | undefined): string => Buffer.from(base64 ?? '', 'base64').toString();
      return {
        resourceVersion: found.metadata?.resourceVersion ?? '',
        webhooks: (found.webhooks ?? []).map(({ name, clientConfig }) => ({
          name,
          caBundle: decoded(clientConfig.caBundle),
        })),
      };
    },
    write: async (kind, resourceVersion, names, bundle) => {
      const caBundle = Buffer.from(bundle).toString('base64');
      const body = {
        metadata: { resourceVersion },
        webhooks: names.map((name) => ({ name, clientConfig: { caBundle } })),
      };
      const request = { name, body, fieldManager: 'dbbackup-webhook' };
      const call = () =>
        kind === 'MutatingWebhookConfiguration'
          ? api.patchMutatingWebhookConfiguration(request, options)
          : api.patchValidatingWebhookConfiguration(request, options);
      return (await unless(409, false, call)) !== false;
    },
  };
}
