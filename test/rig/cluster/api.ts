// The few requests the rig itself makes of an API server, with nothing but a kubeconfig it wrote.
import { readFile } from 'node:fs/promises';
import https from 'node:https';

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export type Api = (method: 'GET' | 'POST', path: string, body?: object) => Promise<Answer>;

interface Kubeconfig {
  readonly clusters: ReadonlyArray<{ cluster: { server: string; 'certificate-authority-data': string } }>;
  readonly users: ReadonlyArray<{ user: { 'client-certificate-data': string; 'client-key-data': string } }>;
}

export async function apiOf(kubeconfig: string): Promise<Api> {
  const { clusters, users } = JSON.parse(await readFile(kubeconfig, 'utf8')) as Kubeconfig;
  const cluster = clusters[0]?.cluster;
  const user = users[0]?.user;
  if (cluster === undefined || user === undefined)
    throw new Error(`read kubeconfig "${kubeconfig}": no cluster or user`);
  const base64 = (text: string) => Buffer.from(text, 'base64');
  const options = {
    ca: base64(cluster['certificate-authority-data']),
    cert: base64(user['client-certificate-data']),
    key: base64(user['client-key-data']),
    timeout: 5000,
    // One connection a request: a kept one would keep the process of the caller from ending.
    agent: false,
  } as const;
  return (method, path, body) =>
    new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const request = https.request(new URL(path, cluster.server), { ...options, method, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text })).on('error', reject);
      });
      request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer within 5 s`)));
      request.on('error', reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
}
