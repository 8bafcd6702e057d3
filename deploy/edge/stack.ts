import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

import { Parameters } from './parameters';
import { Server } from './server';

/** Where partners come in: the SFTP server, which asks the function of the stack `core` who they are. */
export class EdgeStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps) {
    super(scope, id, { ...props, description: 'EFT edge: the SFTP server' });
    const server = new Server(this, 'Sftp', new Parameters(this));
    for (const [name, value] of Object.entries({ ServerId: server.id, Endpoint: server.endpoint })) {
      new CfnOutput(this, name, { value });
    }
  }
}
