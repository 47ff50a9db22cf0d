// The options that commands share, as main decodes them from the command line.

export interface TableOptions {
  output: string;
  noHeaders: boolean;
}

/** Takes `NAME`, `databasebackup/NAME` or `dbb/NAME`, as kubectl prints and takes them. */
export function nameOf(argument: string): string {
  return argument.replace(/^(databasebackups?|dbb)(\.dbbackup\.io)?\//, '');
}
