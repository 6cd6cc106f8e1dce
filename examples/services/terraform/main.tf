# A service that publishes each version of itself when it is applied.

terraform {
  required_providers {
    aws     = { source = "hashicorp/aws", version = ">= 5.0" }
    archive = { source = "hashicorp/archive", version = ">= 2.0" }
  }
}

data "archive_file" "users" {
  type        = "zip"
  source_dir  = "${path.module}/../users"
  output_path = "${path.module}/users.zip"
}

resource "aws_iam_role" "users" {
  name = "users"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.users.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_lambda_function" "users" {
  function_name    = "users"
  role             = aws_iam_role.users.arn
  runtime          = "python3.13"
  handler          = "app.handler"
  filename         = data.archive_file.users.output_path
  source_code_hash = data.archive_file.users.output_base64sha256
  # Each change makes a function version. Terraform keeps the old ones: consumers may still call them.
  publish = true
}

data "aws_ssm_parameter" "publisher" {
  name = "/service-discovery/publisher"
}

# Function version 42 is published as users 1.42.0.
resource "aws_lambda_invocation" "users_published" {
  function_name   = data.aws_ssm_parameter.publisher.insecure_value
  lifecycle_scope = "CRUD"
  input = jsonencode({
    Name          = "users"
    VersionPrefix = "1"
    Arn           = aws_lambda_function.users.qualified_arn
    Metadata      = { team = "accounts" }
    OnDelete      = "Retain"
  })
}

output "published_version" {
  value = jsondecode(aws_lambda_invocation.users_published.result)["Version"]
}
