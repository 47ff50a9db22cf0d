// kubectl for the stage: the real program, one kubeconfig, JSON in and out.
import { type ChildProcess, spawn } from 'node:child_process';
import { binary } from '../rig/binaries.ts';
import { run } from '../rig/command.ts';
import type { Log } from '../rig/progress.ts';
import { waitFor } from '../wait.ts';

export interface Forward {
  /** On 127.0.0.1. */
  port: number;
  stop(): Promise<void>;
}

export interface Kubectl {
  readonly kubeconfig: string;
  /** Runs kubectl; resolves to its standard output, throws with what it printed. */
  (args: string[], input?: string): Promise<string>;
  json<T>(args: string[]): Promise<T>;
  /** Applies objects server-side, as GitOps tools do. */
  apply(objects: object[]): Promise<void>;
  /** A port of 127.0.0.1 that leads to one of a Service. */
  forward(namespace: string, target: string, port: number): Promise<Forward>;
}

export async function kubectlOf(kubeconfig: string, log: Log): Promise<Kubectl> {
  const program = await binary('kubectl', log);
  const plain = (args: string[], input?: string): Promise<string> =>
    run([program, '--kubeconfig', kubeconfig, ...args], input === undefined ? {} : { input });
  return Object.assign(plain, {
    kubeconfig,
    json: async <T>(args: string[]): Promise<T> => JSON.parse(await plain([...args, '-o', 'json'])) as T,
    apply: async (objects: object[]): Promise<void> => {
      const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
      await plain(['apply', '--server-side', '--force-conflicts', '-f', '-'], list);
    },
    forward: (namespace: string, target: string, port: number) => forward(program, kubeconfig, namespace, target, port),
  });
}

async function forward(
  program: string,
  kubeconfig: string,
  namespace: string,
  target: string,
  port: number,
): Promise<Forward> {
  const args = ['--kubeconfig', kubeconfig, '-n', namespace, 'port-forward', target, `:${port}`];
  const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      output = (output + chunk).slice(-4000);
    });
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
  };
  try {
    const local = await waitFor(`port-forward to ${target}`, async () => {
      if (child.exitCode !== null) throw new Error(`kubectl port-forward ended: ${output}`);
      return /Forwarding from 127\.0\.0\.1:(\d+)/.exec(output)?.[1];
    });
    return { port: Number(local), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
