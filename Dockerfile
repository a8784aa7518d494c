# The page on http://localhost:5000, on the CPU:
#   docker build -t sketch-photo . && docker run -p 5000:5000 sketch-photo
FROM python:3.11-slim

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt

COPY app.py LICENSE ./
COPY cyclegan cyclegan
COPY examples examples
COPY weights weights

RUN useradd --create-home visitor
USER visitor
ENV GRADIO_SERVER_NAME=0.0.0.0
EXPOSE 5000
CMD ["python", "app.py"]
