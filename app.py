"""The page, as a Space and a checkout start it: python app.py [--help]"""

from cyclegan.demo.app import main

if __name__ == "__main__":
    main()
