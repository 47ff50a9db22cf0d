// Opens the storage that the task names. Each kind's code is loaded only when it is used.
import { RunError } from '../errors.ts';
import type { Run } from '../run.ts';
import type { Storage } from './storage.ts';

export async function openStorage(run: Run): Promise<Storage> {
  const { storage } = run.task;
  switch (storage.kind) {
    case 's3': {
      const { openS3 } = await import('./s3.ts');
      return openS3(run, storage);
    }
    case 'gcs':
    case 'azure':
      throw new RunError('ConfigInvalid', `open storage: "${storage.kind}" is not supported yet`);
    case 'directory': {
      const { openDirectory } = await import('./directory.ts');
      return openDirectory(run.folders.volume, storage);
    }
  }
}
