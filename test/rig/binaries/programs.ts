// Where each program of the rig comes from: its Go module under test/rig/tools (which alone says the version) and, where
// the project publishes one, its release file.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

export type ProgramName =
  | 'etcd'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kubelet'
  | 'kube-proxy'
  | 'kubectl'
  | 'coredns'
  | 'kind'
  | 'versitygw'
  | 'fake-gcs-server'
  | 'kustomize'
  | 'kstatus'
  | 'argocd-health';

export interface Release {
  readonly url: string;
  /** A file whose line for this download starts with its SHA-256. */
  readonly checksumUrl: string;
  /** The path inside the archive, where the download is a .tar.gz. */
  readonly member?: string;
}

export interface Program {
  readonly name: ProgramName;
  readonly version: string;
  /** The directory of its go.mod. */
  readonly tool: string;
  readonly package: string;
  readonly ldflags: string;
  readonly release: Release | undefined;
}

interface Source {
  readonly tool: string;
  readonly module: string;
  readonly package: string;
  readonly release?: (version: string, os: string, arch: string) => Release;
}

const kubernetes = (name: ProgramName): Source => ({
  tool: 'kubernetes',
  module: 'k8s.io/kubernetes',
  package: `k8s.io/kubernetes/cmd/${name}`,
  release: (version, os, arch) => {
    const url = `https://dl.k8s.io/release/${version}/bin/${os}/${arch}/${name}`;
    return { url, checksumUrl: `${url}.sha256` };
  },
});

const sources: Record<ProgramName, Source> = {
  etcd: {
    tool: 'etcd',
    module: 'go.etcd.io/etcd/server/v3',
    package: 'go.etcd.io/etcd/server/v3',
    release: (version, os, arch) => {
      const base = `https://github.com/etcd-io/etcd/releases/download/${version}`;
      const file = `etcd-${version}-${os}-${arch}`;
      return { url: `${base}/${file}.tar.gz`, checksumUrl: `${base}/SHA256SUMS`, member: `${file}/etcd` };
    },
  },
  'kube-apiserver': kubernetes('kube-apiserver'),
  'kube-controller-manager': kubernetes('kube-controller-manager'),
  'kube-scheduler': kubernetes('kube-scheduler'),
  kubelet: kubernetes('kubelet'),
  'kube-proxy': kubernetes('kube-proxy'),
  kubectl: kubernetes('kubectl'),
  coredns: { tool: 'coredns', module: 'github.com/coredns/coredns', package: '.' },
  kind: { tool: 'kind', module: 'sigs.k8s.io/kind', package: 'sigs.k8s.io/kind' },
  versitygw: {
    tool: 'versitygw',
    module: 'github.com/versity/versitygw',
    package: 'github.com/versity/versitygw/cmd/versitygw',
  },
  'fake-gcs-server': {
    tool: 'fake-gcs-server',
    module: 'github.com/fsouza/fake-gcs-server',
    package: 'github.com/fsouza/fake-gcs-server',
  },
  kustomize: {
    tool: 'kustomize',
    module: 'sigs.k8s.io/kustomize/kustomize/v5',
    package: 'sigs.k8s.io/kustomize/kustomize/v5',
  },
  kstatus: { tool: 'kstatus', module: 'github.com/fluxcd/cli-utils', package: '.' },
  'argocd-health': { tool: 'argocd', module: 'github.com/argoproj/argo-cd/v2', package: '.' },
};

export const programNames = Object.keys(sources) as readonly ProgramName[];

export async function program(name: ProgramName, os: string = process.platform): Promise<Program> {
  const source = sources[name];
  const tool = path.join(import.meta.dirname, '..', 'tools', source.tool);
  const required = requiredVersion(await readFile(path.join(tool, 'go.mod'), 'utf8'), source.module);
  const version = source.package === '.' ? `${required}-${await mainDigest(tool)}` : required;
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  const release = source.release?.(version, os, arch);
  return { name, version, tool, package: source.package, ldflags: ldflags(source.tool, version), release };
}

/** A main.go of ours changes while the module it is made from does not: what the cache holds must be told from it. */
async function mainDigest(tool: string): Promise<string> {
  const text = await readFile(path.join(tool, 'main.go'));
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** The version a go.mod requires of a module, such as v1.36.3. */
export function requiredVersion(goMod: string, module: string): string {
  for (const line of goMod.split('\n')) {
    const [first, version] = line
      .replace(/^require\s/, '')
      .trim()
      .split(/\s+/);
    if (first === module && version?.startsWith('v')) return version;
  }
  throw new Error(`read go.mod: no requirement of "${module}"; run "go get -tool ${module}" in its directory`);
}

// Without these a Kubernetes program calls itself v0.0.0, and version-gated behaviour follows that.
function ldflags(tool: string, version: string): string {
  if (tool !== 'kubernetes') return '-s -w';
  const [major, minor] = version.slice(1).split('.');
  const set = { gitVersion: version, gitMajor: major, gitMinor: minor };
  const flags = Object.entries(set).map(([key, value]) => `-X k8s.io/component-base/version.${key}=${value}`);
  return ['-s -w', ...flags].join(' ');
}
