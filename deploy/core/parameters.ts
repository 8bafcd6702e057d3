import { Aws, CfnCondition, CfnParameter, Fn, type IResolvable, type Stack } from 'aws-cdk-lib';

/** What differs between deployments. CloudFormation asks for it, so that one template serves them all. */
export class Parameters {
  /** In front of the names that both regions share. */
  readonly prefix: string;
  readonly primaryRegion: string;
  readonly peerRegion: string;
  /** Keeps the third copy of the log of strongly consistent tables; nobody reads or writes there. */
  readonly witnessRegion: string;
  readonly codeBucket: string;
  readonly codeVersion: string;
  /** A list of layers, or nothing. */
  readonly stageLayers: IResolvable;
  readonly signingKey: string;
  readonly keyFolder: string;
  readonly architecture: string;
  readonly stateMachineType: string;
  readonly retentionDays: string;
  /** Whose tokens the API takes, and for whom they have to be. */
  readonly tokenIssuer: string;
  readonly tokenAudience: string;
  readonly tenantClaim: string;
  readonly cursorKey: string;
  /** A global table is one resource: the stack of the primary region makes it, and its replica in the peer with it. */
  readonly isPrimary: CfnCondition;

  constructor(stack: Stack) {
    const text = (name: string, description: string, allowedPattern: string, defaultValue?: string): string =>
      new CfnParameter(stack, name, { type: 'String', description, allowedPattern, default: defaultValue }).valueAsString;
    const choice = (name: string, description: string, allowedValues: string[]): string =>
      new CfnParameter(stack, name, { type: 'String', description, allowedValues, default: allowedValues[0]! }).valueAsString;

    const region = '[a-z]{2}(-[a-z]+)+-[0-9]';
    this.prefix = text('Prefix', 'In front of the names of tables and the state machine, the same in both regions.', '[a-z][a-z0-9-]{0,30}', 'eft');
    this.primaryRegion = text('PrimaryRegion', 'The region whose stack makes the tables.', region, 'eu-west-1');
    this.peerRegion = text('PeerRegion', 'The region with the replicas of the tables.', region, 'eu-central-1');
    this.witnessRegion = text('WitnessRegion', 'The third region of the strongly consistent tables.', region, 'eu-west-3');
    this.codeBucket = text('CodeBucket', 'The bucket of this region with the programs of the Lambda functions.', '[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]');
    this.codeVersion = text('CodeVersion', 'The folder in it, one a build, with a package for each of them, such as router.zip.', '[A-Za-z0-9._-]{1,64}');
    const layers = new CfnParameter(stack, 'StageLayers', {
      type: 'CommaDelimitedList',
      description: 'Versions of Lambda layers with the files of the next two parameters, which Lambda puts below /opt.',
      default: '',
    }).valueAsList;
    const hasLayers = new CfnCondition(stack, 'HasStageLayers', { expression: Fn.conditionNot(Fn.conditionEquals(Fn.select(0, layers), '')) });
    this.stageLayers = Fn.conditionIf(hasLayers.logicalId, layers, Aws.NO_VALUE);
    this.signingKey = text('SigningKey', 'The file with the key that signs receipts (Ed25519, PKCS#8).', '/.+', '/opt/eft/signing.pk8');
    this.keyFolder = text('KeyFolder', 'The folder with the secrets and OpenPGP keys that routes name.', '/.+', '/opt/eft/keys');
    this.architecture = choice('Architecture', 'What the programs are built for.', ['arm64', 'x86_64']);
    this.stateMachineType = choice(
      'StateMachineType',
      'STANDARD keeps a history of every execution; EXPRESS costs a fiftieth, from some 100,000 files a day on.',
      ['STANDARD', 'EXPRESS'],
    );
    this.retentionDays = new CfnParameter(stack, 'RetentionDays', {
      type: 'Number',
      description: 'Days for which the rows of jobs are kept.',
      default: 400,
      minValue: 1,
      maxValue: 36_500,
    }).valueAsString;
    this.tokenIssuer = text('TokenIssuer', 'Who issues the tokens of the API (OpenID Connect); its keys are looked up there.', 'https?://.+');
    this.tokenAudience = text('TokenAudience', 'The audience that a token has to name.', '.+', 'eft');
    this.tenantClaim = text('TenantClaim', 'The claim of a token that names the tenant.', '[A-Za-z0-9_:./-]{1,128}', 'tenant');
    this.cursorKey = new CfnParameter(stack, 'CursorKey', {
      type: 'String',
      noEcho: true,
      description: 'What signs the cursors of the API, the same in both regions: at least 32 bytes in hexadecimal digits.',
      allowedPattern: '([0-9a-f]{2}){32,64}',
    }).valueAsString;
    this.isPrimary = new CfnCondition(stack, 'IsPrimary', { expression: Fn.conditionEquals(Aws.REGION, this.primaryRegion) });
  }
}
