# A function that calls the service users, version 1.x.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.4"
    }
  }
}

data "aws_ssm_parameter" "layer" {
  name = "/service-discovery/layer/x86_64"
}

data "aws_ssm_parameter" "index_read_policy" {
  name = "/service-discovery/index-read-policy"
}

data "aws_ssm_parameter" "index_table" {
  name = "/service-discovery/index-table"
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

data "archive_file" "code" {
  type        = "zip"
  source_dir  = "${path.module}/src"
  output_path = "${path.module}/checkout.zip"
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "call_users" {
  statement {
    actions = ["lambda:InvokeFunction"]
    resources = [
      join(":", [
        "arn", data.aws_partition.current.partition, "lambda", data.aws_region.current.name,
        data.aws_caller_identity.current.account_id, "function", "users", "*",
      ])
    ]
  }
}

resource "aws_iam_role" "checkout" {
  name               = "checkout"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "call_users" {
  role   = aws_iam_role.checkout.id
  policy = data.aws_iam_policy_document.call_users.json
}

resource "aws_iam_role_policy_attachment" "index_read" {
  role       = aws_iam_role.checkout.name
  policy_arn = data.aws_ssm_parameter.index_read_policy.insecure_value
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.checkout.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_lambda_function" "checkout" {
  function_name    = "checkout"
  role             = aws_iam_role.checkout.arn
  runtime          = "python3.13"
  architectures    = ["x86_64"]
  handler          = "app.handler"
  filename         = data.archive_file.code.output_path
  source_code_hash = data.archive_file.code.output_base64sha256
  layers           = [data.aws_ssm_parameter.layer.insecure_value]
  timeout          = 10

  environment {
    variables = {
      NEEDED_SERVICES         = "users==1.x"
      SERVICE_DISCOVERY_TABLE = data.aws_ssm_parameter.index_table.insecure_value
    }
  }
}
